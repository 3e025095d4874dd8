// What can go wrong, as one class with a code, and what to do about it.
// It never decides when to try again: that is in backoff.ts.
import type { RefusalCode } from "./openapi.js";

/** What an error is called: by the hub, by the client itself, or by what is between them (`http.502`, `close.4429`). */
export type ErrorCode =
  | RefusalCode
  | "client.network"
  | "client.token"
  | "client.queue_full"
  | "client.closed"
  | "client.unsupported"
  | `http.${number}`
  | `close.${number}`
  // Of frames, and what later hubs say.
  | (string & {});

/** What is known of a failure. */
export interface Refusal {
  code: ErrorCode;
  /** The status of HTTP; 0 where no hub answered. */
  status?: number;
  detail?: string;
  /** Not before so many milliseconds are over should the same be tried again. */
  retryAfterMs?: number;
  requestId?: string;
  /** With `expect.mismatch`: the cursor of the newest event. */
  head?: string;
  /** With `cursor.gone`: why, and what is kept. */
  reason?: "trimmed" | "reset" | "unknown";
  oldest?: string;
  newest?: string;
  /** Everything that is kept follows it. */
  cursor?: string;
  /** With `permission.denied`: the permission key that is lacking. */
  permission?: string;
  cause?: unknown;
}

/**
 * A refusal of the hub, by its `code` (the table is in docs/protocol.md), or one of the client's own, with status 0:
 * `client.network` (nothing answered), `client.token` (the token provider failed), `client.queue_full`,
 * `client.closed` (the hub object was closed), `client.unsupported` (no transport is possible here).
 */
export class HubError extends Error implements Refusal {
  declare readonly code: ErrorCode;
  declare readonly status: number;
  declare readonly detail: string;
  declare readonly retryAfterMs?: number;
  declare readonly requestId?: string;
  declare readonly head?: string;
  declare readonly reason?: Refusal["reason"];
  declare readonly oldest?: string;
  declare readonly newest?: string;
  declare readonly cursor?: string;
  declare readonly permission?: string;

  constructor({ cause, ...said }: Refusal) {
    super(said.detail ? `${said.code}: ${said.detail}` : said.code, { cause });
    Object.assign(this, { name: "HubError", status: 0, detail: "" }, said);
  }
}

/** What is to be done about an error: try again, with another token, or not at all. */
export type Verdict = "retry" | "token" | "final";

/** The rule for it, by code and status. */
export function verdict({ code, status }: { code: string; status: number }): Verdict {
  if (status === 401 && code !== "auth.wrong_tier") return "token";
  if (code === "session.ended" || code === "client.network" || code === "client.token") return "retry";
  return status === 408 || status === 429 || status >= 500 ? "retry" : "final";
}

/** An error of a frame or a problem document. `status` and `code` are used where it has none; `afterMs` is what a header asked for. */
export function refusalOf(said: Record<string, any>, status: number, code: ErrorCode, afterMs = 0): HubError {
  const { detail = "", request_id: requestId, head, reason, oldest, newest, cursor, permission } = said;
  // A proxy may say JSON, too.
  if (typeof said.code === "string") code = said.code;
  if (typeof said.status === "number") status = said.status;
  const retryAfterMs = Math.max(said.retry_after_ms ?? 0, afterMs) || undefined;
  return new HubError({ code, status, detail, retryAfterMs, requestId, head, reason, oldest, newest, cursor, permission });
}

/** Milliseconds that a `Retry-After` says: seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (!header) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** The refusal that an answer is. One that a proxy made has the code `http.<status>`; one that was cut is none. */
export async function errorOf(response: Response): Promise<HubError> {
  const text = await response.text();
  let said: Record<string, any> = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Not of the hub.
  }
  return refusalOf(said ?? {}, response.status, `http.${response.status}`, retryAfterMs(response.headers.get("retry-after"), Date.now()));
}

/** Nothing answered, or not in time. */
export function network(cause?: unknown, detail = "the hub can't be reached"): HubError {
  return cause instanceof HubError ? cause : new HubError({ code: "client.network", detail, cause });
}
