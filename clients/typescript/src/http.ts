// Requests to the hub: who asks and where, a deadline, and refusals as errors.
// It never repeats a request, but once with another token behind a 401.
import { errorOf, HubError, network, verdict } from "./errors.js";
import type { Tokens } from "./token.js";

/** What fetches: the global `fetch`, or one like it. */
export type Fetch = typeof fetch;

/** What is read like a topic, and is everything that happens in a tenant and env. */
export const FEED = "feed";

/** How a request is made. */
export interface Asked {
  /** JSON, as text. */
  body?: string;
  signal?: AbortSignal;
  /** In milliseconds; 0 is no deadline. */
  timeoutMs?: number;
  headers?: Record<string, string>;
}

/** A signal that is aborted with another, or when time is over. */
export function deadline(signal: AbortSignal | undefined, ms: number): { signal: AbortSignal; done(): void } {
  const own = new AbortController();
  const abort = () => own.abort(signal!.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  const timer = ms > 0 ? setTimeout(() => own.abort(network(undefined, "no answer in time")), ms) : undefined;
  return {
    signal: own.signal,
    done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    },
  };
}

/** The path of a topic: `thread/x` is at `/v1/threads/x`. */
export function pathOf(topic: string): string {
  const [, kind, id] = /^(thread|canvas)\/(.+)$/.exec(topic) ?? [];
  if (!kind || !id) throw new TypeError(`${topic} is no topic: thread/<id> or canvas/<id>`);
  return `/v1/${kind === "thread" ? "threads" : "canvases"}/${encodeURIComponent(id)}`;
}

/** Where the events of a topic are, or the feed is. */
export const eventsOf = (topic: string): string => (topic === FEED ? "/v1/feed" : `${pathOf(topic)}/events`);

/** A query of what is there; of a list with commas. */
export function query(of: Record<string, unknown>): string {
  const given = Object.entries(of).filter(([, value]) => value !== undefined && value !== false);
  return given.length > 0 ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/** Asks one hub. */
export class Http {
  constructor(
    readonly url: string,
    readonly tenant: string | undefined,
    readonly env: string | undefined,
    readonly tokens: Tokens,
    readonly fetch: Fetch,
    readonly timeoutMs: number,
  ) {}

  /** Says who asks, and where. */
  headers(token: string): Record<string, string> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (this.tenant) headers["x-tenant-id"] = this.tenant;
    if (this.env) headers["x-env"] = this.env;
    return headers;
  }

  /** One request; its answer as JSON, `undefined` where there is none. Fails with `HubError`, or the signal's reason. */
  async request<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
    const token = await this.tokens.get();
    try {
      return await this.#once<T>(method, path, asked, token);
    } catch (error) {
      if (!(error instanceof HubError) || verdict(error) !== "token" || !this.tokens.renewable) throw error;
      this.tokens.drop(token);
      return await this.#once<T>(method, path, asked, await this.tokens.get());
    }
  }

  /** Whether the hub, or a proxy that does not say it is away, answers at all. */
  async answers(): Promise<boolean> {
    const time = deadline(undefined, Math.min(5_000, this.timeoutMs));
    try {
      const response = await this.fetch(`${this.url}/readyz`, { signal: time.signal, cache: "no-store" });
      await response.body?.cancel();
      return response.status < 500;
    } catch {
      return false;
    } finally {
      time.done();
    }
  }

  async #once<T>(method: string, path: string, asked: Asked, token: string): Promise<T> {
    const headers = { ...this.headers(token), ...asked.headers };
    if (asked.body !== undefined) headers["content-type"] = "application/json";
    const time = deadline(asked.signal, asked.timeoutMs ?? this.timeoutMs);
    try {
      const response = await this.fetch(this.url + path, { method, headers, body: asked.body, signal: time.signal, cache: "no-store" });
      if (!response.ok) throw await errorOf(response);
      const text = await response.text();
      return (text ? JSON.parse(text) : undefined) as T;
    } catch (error) {
      if (asked.signal?.aborted) throw asked.signal.reason;
      throw network(error);
    } finally {
      time.done();
    }
  }
}
