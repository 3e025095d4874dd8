// Whether the hub can be reached, as views find out: the one line in the page's head says so, for all of them.
// It asks nothing by itself.
import type { HubError, Subscription } from "@tambour/client";
import { computed, signal } from "@preact/signals";
import { asHubError, isAway } from "./parts/errors";

export type Reach = "connecting" | "live" | "away";

/** What the newest answer to a request says. */
const requests = signal<Reach>("connecting");
/** What the live view is doing, where there is one, and what carries it: `ws`, `sse` or `poll`. */
const reading = signal<{ state: Subscription["state"]; transport?: string }>({ state: "ended" });

/** Who waits for the live view has no hub, although a request may get through. */
export const reach = computed<Reach>(() => (reading.value.state === "waiting" ? "away" : requests.value));
/** What carries the live view, while it is live. */
export const carrier = computed(() => (reading.value.state === "live" ? reading.value.transport : undefined));
/** Whether the browser itself says that it has no network. A hub on the same machine can be reached still. */
export const offline = signal(typeof navigator !== "undefined" && navigator.onLine === false);

/** For the `state` handler of a subscription. A view has one at a time, and its end is told, too. */
export function told(state: Subscription["state"], { transport, error }: { transport?: string; error?: unknown }): void {
  // Refused for now is not away: the hub has answered.
  const waits = state === "waiting" && error !== undefined && !isAway(asHubError(error));
  // Who tries again has waited, and does so until it is live.
  if (state === "connecting" && reading.value.state === "waiting") return;
  reading.value = { state: waits ? "connecting" : state, transport };
  if (state === "live") requests.value = "live";
}

/** Why the hub does not know who looks: then nothing here can go on. */
export const strange = signal<HubError | undefined>(undefined);

/** An answer came, or did not. */
export function answered(failed?: unknown): void {
  const error = failed === undefined ? undefined : asHubError(failed);
  requests.value = error && isAway(error) ? "away" : "live";
  // 401 of a place that takes another kind of token says nothing of this one.
  strange.value = error?.status === 401 && error.code !== "auth.wrong_tier" ? error : undefined;
}

if (typeof addEventListener === "function") {
  for (const name of ["online", "offline"]) addEventListener(name, () => (offline.value = !navigator.onLine));
}
