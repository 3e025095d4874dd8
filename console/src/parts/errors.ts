// What was thrown, as views show it: the one kind of error, in words, and what may be hoped of it.
// Rules alone: nothing here asks the hub or tries again.
import { HubError } from "@tambour/client";

/** Statuses of who stands in for a hub that is away, or of a hub that is about to be. */
const AWAY = [502, 503, 504];

/** Whatever was thrown, as the one kind of error that views show. */
export function asHubError(error: unknown): HubError {
  return error instanceof HubError ? error : new HubError({ code: "client.failed", detail: error instanceof Error ? error.message : String(error) });
}

/** Whether the hub is not there, or can't answer now: nothing that was asked is at fault. */
export function isAway({ status, code }: Pick<HubError, "status" | "code">): boolean {
  return code === "client.network" || code === "client.token" || AWAY.includes(status);
}

/** Whether it is worth trying again without anybody’s doing. */
export function passes(error: Pick<HubError, "status" | "code">): boolean {
  return isAway(error) || error.status === 429 || error.status >= 500;
}

/** The hub's words, or ours where nobody answered. */
export function wordsOf(error: HubError): string {
  if (error.code === "client.network") return "The hub can’t be reached. Try again when it is back.";
  if (error.status === 403 && error.code === "permission.denied") return `You may not: ${error.detail}`;
  return error.detail || "The hub refused.";
}
