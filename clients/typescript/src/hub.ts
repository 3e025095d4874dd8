// A hub: where it is, who asks, and what all topics share.
// It opens nothing before a topic is read or written.
import type { Backoff } from "./backoff.js";
import { HubError } from "./errors.js";
import { Feed } from "./feed.js";
import type { EventSourceClass } from "./eventsource.js";
import { type Asked, FEED, type Fetch, Http, pathOf } from "./http.js";
import type { Transport } from "./ladder.js";
import { Outbox } from "./outbox.js";
import { type Out, Reader } from "./reader.js";
import type { WebSocketClass } from "./socket.js";
import { keep, recall, Switchboard } from "./switchboard.js";
import { type TokenProvider, Tokens } from "./token.js";
import { Topic } from "./topic.js";
import type { CursorStorage, FeedOptions, ReadOptions, Types } from "./types.js";

/** How to reach a hub. Times are in milliseconds. */
export interface HubOptions {
  /** `https://hub.example`, perhaps with a path before `/v1`. */
  url: string;
  /** Not needed where the token has them: stream tokens and service keys. */
  tenant?: string;
  env?: "dev" | "staging" | "prod";
  /** A token, or what gives one: called ahead of its end, and after a refusal. */
  token: TokenProvider;
  /** What may be used, best first: `["ws", "sse", "poll"]`. */
  transports?: readonly Transport[];
  /** Where there is no global `WebSocket` (Node before 22): that of `ws`, for example. `false`: none. */
  WebSocket?: WebSocketClass | false;
  /** SSE by native EventSource and stream tokens in place of `fetch`: `true`, or a class like it. */
  EventSource?: EventSourceClass | boolean;
  fetch?: Fetch;
  /** Keeps cursors (`persist`) and the transport that worked: `localStorage`, where it is there. `false`: nothing is kept. */
  storage?: CursorStorage | false;
  /** Until a connection is open; 8,000. */
  openTimeoutMs?: number;
  /** Until a request is answered, or a token is given; 20,000. */
  timeoutMs?: number;
  /** Until a sign of life that was asked for; 5,000. */
  checkMs?: number;
  /** Until a better transport is tried again; 60,000, and longer with each vain try. */
  betterMs?: number;
  /** 500 to 30,000. */
  backoff?: Backoff;
  /** Writes that may wait, over all topics; 1,000. */
  queueMax?: number;
  /** Where `online`, `offline`, `pageshow` and `visibilitychange` are heard: the page. */
  page?: EventTarget | false;
}

/** What topics and the feed share. */
export interface Core {
  readonly http: Http;
  readonly outbox: Outbox;
  /** Starts a reader; `keep` remembers the place for the next page. */
  read(topic: string, options: ReadOptions & FeedOptions, out: Out): { reader: Reader; keep(cursor: string): void };
}

/** `offline` too: a browser may hold the frames of a WebSocket then, and not close it. */
const PAGE_EVENTS = ["online", "offline", "pageshow", "visibilitychange"];

/** The client of one hub, for one caller. */
export class Hub {
  readonly #board: Switchboard;
  readonly #outbox: Outbox;
  readonly #readers = new Set<Reader>();
  readonly #core: Core;
  readonly #page?: EventTarget;
  #closed = false;

  constructor(options: HubOptions) {
    const given = globalThis as Record<string, any>;
    const { transports = ["ws", "sse", "poll"], openTimeoutMs = 8_000, timeoutMs = 20_000, checkMs = 5_000, betterMs = 60_000 } = options;
    const backoff = options.backoff ?? { firstMs: 500, maxMs: 30_000 };
    const url = options.url.replace(/\/+$/, "");
    const fetching: Fetch = options.fetch ?? ((...asked) => fetch(...asked));
    const http = new Http(url, options.tenant, options.env, new Tokens(options.token, timeoutMs), fetching, timeoutMs);
    const native = options.EventSource === true ? given.EventSource : options.EventSource || undefined;
    this.#board = new Switchboard({
      http,
      transports,
      openTimeoutMs,
      checkMs,
      betterMs,
      backoff,
      WebSocket: options.WebSocket === false ? undefined : (options.WebSocket ?? given.WebSocket),
      EventSource: native,
      storage: options.storage === false ? undefined : (options.storage ?? localStorageOf(given)),
    });
    this.#outbox = new Outbox(http, this.#board.sockets, backoff, options.queueMax ?? 1_000);
    this.#core = { http, outbox: this.#outbox, read: (...of) => this.#read(...of) };
    this.#page = options.page === false ? undefined : (options.page ?? (given.document && given.addEventListener ? given : undefined)) as EventTarget;
    for (const name of PAGE_EVENTS) this.#page?.addEventListener(name, this.check);
  }

  /** `thread/<id>` or `canvas/<id>`; `M` says what is published to it, by type. */
  topic<M extends Types = Types>(name: string): Topic<M> {
    pathOf(name);
    return new Topic<M>(this.#core, name);
  }

  /** What happens in all topics that may be read, and beside them, in the order in which it was committed. */
  feed<M extends Types = Types>(): Feed<M> {
    return new Feed<M>(this.#core, FEED);
  }

  /** Any request of the HTTP interface, `/v1/…`; the answer as JSON. Fails with `HubError`. */
  request<T = unknown>(method: string, path: string, asked: Omit<Asked, "body"> & { body?: unknown } = {}): Promise<T> {
    const body = asked.body === undefined ? undefined : JSON.stringify(asked.body);
    return this.#core.http.request<T>(method, path, { ...asked, body });
  }

  /** Writes that wait. */
  get queued(): number {
    return this.#outbox.size;
  }

  /** Finds out now whether connections live, and tries again what waits. Pages do so when they are seen again, online or offline. */
  readonly check = (): void => {
    if ((globalThis as Record<string, any>).document?.visibilityState === "hidden") return;
    for (const reader of this.#readers) reader.check();
    this.#board.pace.wake();
    this.#outbox.wake();
  };

  /** Ends all of it: readers end, and what waits to be written is refused with `client.closed`. */
  close(): void {
    this.#closed = true;
    for (const name of PAGE_EVENTS) this.#page?.removeEventListener(name, this.check);
    for (const reader of [...this.#readers]) reader.close();
    this.#outbox.close();
    this.#board.sockets?.close();
  }

  #read(topic: string, options: ReadOptions & FeedOptions, out: Out): { reader: Reader; keep(cursor: string): void } {
    const { http, storage } = this.#board.means;
    const { persist, signal, after, last, fold, types, topics } = options;
    const key = `tambour:${http.url}:${http.tenant ?? ""}:${http.env ?? ""}:${topic}:${persist === true ? "" : persist}`;
    const kept = persist ? recall(storage, key) : undefined;
    const abort = () => reader.close(signal!.reason);
    const ask = { topic, after: kept ?? after, last: kept === undefined ? last : undefined, fold, types, topics };
    const reader = new Reader(this.#board, ask, {
      ...out,
      state: (state, how) => {
        if (state === "live") this.#outbox.wake();
        out.state(state, how);
      },
      done: (error) => {
        this.#readers.delete(reader);
        signal?.removeEventListener("abort", abort);
        // What was kept is no cursor; the next page begins where it is asked to.
        if (kept !== undefined && error instanceof HubError && error.code === "cursor.malformed") keep(storage, key, undefined);
        out.done(error);
      },
    });
    this.#readers.add(reader);
    signal?.addEventListener("abort", abort);
    // Not before whoever asked has the reader.
    queueMicrotask(() => {
      if (this.#closed) reader.close();
      else if (signal?.aborted) abort();
      else if (this.#readers.has(reader)) reader.start();
    });
    return { reader, keep: (cursor) => persist && keep(storage, key, cursor) };
  }
}

/** Looking at it alone may throw, where a page may keep nothing. */
function localStorageOf(given: Record<string, any>): CursorStorage | undefined {
  try {
    return given.document ? given.localStorage : undefined;
  } catch {
    return undefined;
  }
}
