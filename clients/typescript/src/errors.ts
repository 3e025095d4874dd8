// What can go wrong, as one class with a code, and what to do about it.
// It never decides when to try again: that is in backoff.ts.

/** What is known of a failure. */
export interface Refusal {
  code: string;
  /** The status of HTTP; 0 where no hub answered. */
  status?: number;
  detail?: string;
  /** Not before so many milliseconds are over should the same be tried again. */
  retryAfterMs?: number;
  requestId?: string;
  /** With `expect.mismatch`: the cursor of the newest event. */
  head?: string;
  cause?: unknown;
}

/**
 * A refusal of the hub, by its `code` (the table is in docs/protocol.md), or one of the client's own, with status 0:
 * `client.network` (nothing answered), `client.token` (the token provider failed), `client.queue_full`,
 * `client.closed` (the hub object was closed), `client.unsupported` (no transport is possible here).
 */
export class HubError extends Error {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly retryAfterMs?: number;
  readonly requestId?: string;
  readonly head?: string;

  constructor(said: Refusal) {
    super(said.detail ? `${said.code}: ${said.detail}` : said.code, { cause: said.cause });
    this.name = "HubError";
    this.code = said.code;
    this.status = said.status ?? 0;
    this.detail = said.detail ?? "";
    this.retryAfterMs = said.retryAfterMs;
    this.requestId = said.requestId;
    this.head = said.head;
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

/** An error of a frame or a problem document. `status` and `code` are used where it has none. */
export function refusalOf(said: Record<string, any>, status: number, code: string): HubError {
  return new HubError({
    code: typeof said.code === "string" ? said.code : code,
    status: typeof said.status === "number" ? said.status : status,
    detail: said.detail,
    retryAfterMs: said.retry_after_ms,
    requestId: said.request_id,
    head: said.head,
  });
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
  const after = retryAfterMs(response.headers.get("retry-after"), Date.now());
  const error = refusalOf(said, response.status, `http.${response.status}`);
  return after === undefined ? error : new HubError({ ...error, retryAfterMs: Math.max(after, error.retryAfterMs ?? 0) });
}

/** Nothing answered, or not in time. */
export function network(cause?: unknown, detail = "the hub can't be reached"): HubError {
  return cause instanceof HubError ? cause : new HubError({ code: "client.network", detail, cause });
}
