// One topic of a hub: read it, write to it.
// It holds no connection; those are the readers' and the outbox's.
import type { HubError } from "./errors.js";
import { pathOf, query } from "./http.js";
import type { Transport } from "./ladder.js";
import type { EventPage, Topic as Shown } from "./openapi.js";
import type { Target } from "./queue.js";
import type { Reader } from "./reader.js";
import type { Core } from "./hub.js";
import type { Gap, Handlers, Item, ReadOptions, State, TopicEvent, Types, Written, WriteOptions } from "./types.js";

/** Items that wait for who iterates; above it nothing more is taken until they are read. */
const ITEMS_MAX = 1_024;

/** A topic that is read by callbacks. */
export interface Subscription {
  readonly state: State;
  /** The place behind what was given last. */
  readonly cursor: string | undefined;
  readonly transport: Transport | undefined;
  close(): void;
}

/** A page of the log. */
export type Page<M extends Types = Types> = Omit<EventPage, "events"> & { events: TopicEvent<M>[] };

/** What a page is asked for by: one of `after`, `before`, `last`, or none for the newest. */
export interface PageOptions {
  after?: string;
  before?: string;
  /** 0 to 500. */
  last?: number;
  /** 1 to 500; 100 by default. */
  limit?: number;
  fold?: boolean;
  signal?: AbortSignal;
}

/** A thread or a canvas. */
export class Topic<M extends Types = Types> {
  readonly #core: Core;

  constructor(
    core: Core,
    readonly name: string,
  ) {
    this.#core = core;
    pathOf(name);
  }

  /**
   * What comes, from where it is asked for, for ever: until the topic is over, `break`, or an abort (which throws the
   * signal's reason). Begins with the first `next`. Throws `HubError` where it is refused for good.
   */
  async *events(options: ReadOptions = {}): AsyncGenerator<Item<M>, void, undefined> {
    const queue: Array<[Item, string]> = [];
    let wake = () => {};
    let over: { error?: unknown } | undefined;
    let paused = false;
    const { reader, keep } = this.#core.read(this.name, options, {
      item: (item, cursor) => {
        queue.push([item, cursor]);
        if (queue.length >= ITEMS_MAX && !paused) {
          paused = true;
          reader.pause();
        }
        wake();
      },
      place: (cursor) => void (queue.length === 0 && keep(cursor)),
      state: () => {},
      done: (error) => {
        over = { error };
        wake();
      },
    });
    try {
      for (;;) {
        const next = queue.shift();
        if (next) {
          yield next[0] as Item<M>;
          keep(next[1]);
        } else if (over) {
          if (over.error !== undefined) throw over.error;
          return;
        } else if (paused) {
          paused = false;
          reader.resume();
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      reader.close();
    }
  }

  /** The same by callbacks, at once. An abort of the signal closes it. */
  subscribe(options: ReadOptions, handlers: Handlers<M>): Subscription {
    let state: State = "connecting";
    let place: string | undefined;
    let reader!: Reader;
    const read = this.#core.read(this.name, options, {
      item: (item, cursor) => {
        place = cursor;
        call(() => give(item as Item<M>, handlers));
        read.keep(cursor);
      },
      place: (cursor) => {
        place = cursor;
        read.keep(cursor);
      },
      state: (now, how) => {
        state = now;
        call(() => handlers.state?.(now, how));
      },
      done: (error) => {
        if (error !== undefined && error !== options.signal?.reason) call(() => handlers.error?.(error as HubError));
      },
    });
    reader = read.reader;
    return {
      get state() {
        return state;
      },
      get cursor() {
        return place;
      },
      get transport() {
        return reader.transport;
      },
      close: () => reader.close(),
    };
  }

  /**
   * Publishes an event: once and in order, whatever becomes of connections meanwhile. Answers when it is on disk. Fails
   * with `HubError`: a refusal that would come again, or `client.queue_full`.
   */
  publish<K extends keyof M & string>(type: K, data: M[K], options: WriteOptions = {}): Promise<Written> {
    return this.#core.outbox.submit(this.name, { kind: "publish", type, data: JSON.stringify(data ?? null) }, options);
  }

  /**
   * Appends text to an event of one's own: its id, or what `publish` gave. Texts that wait are sent as one. Need not be
   * awaited: what is refused is told by `flush`, too.
   */
  append(target: Target, text: string, options: WriteOptions = {}): Promise<Written> {
    const written = this.#core.outbox.submit(this.name, { kind: "append", target, data: text }, options);
    written.catch(() => {});
    return written;
  }

  /** When everything is written; fails with what was refused to an append. */
  flush(): Promise<void> {
    return this.#core.outbox.flush(this.name);
  }

  /** Asks the producer of an event to stop: publishes `stop`. */
  async stop(target: Target, options: WriteOptions & { reason?: string } = {}): Promise<Written> {
    const event = await target;
    const data = { event_id: typeof event === "string" ? event : event.id, reason: options.reason };
    return this.#core.outbox.submit(this.name, { kind: "publish", type: "stop", data: JSON.stringify(data) }, options);
  }

  /** A page of the log, ascending. */
  page({ signal, ...from }: PageOptions = {}): Promise<Page<M>> {
    return this.#core.http.request<Page<M>>("GET", `${pathOf(this.name)}/events${query({ ...from })}`, { signal });
  }

  /** Makes the topic. Fails with `topic.exists` where it is there. */
  create(about: { title?: string; visibility?: Shown["visibility"]; members?: Shown["members"] } = {}, signal?: AbortSignal): Promise<Shown> {
    const path = pathOf(this.name);
    const at = path.lastIndexOf("/");
    const body = JSON.stringify({ id: decodeURIComponent(path.slice(at + 1)), ...about });
    return this.#core.http.request<Shown>("POST", path.slice(0, at), { body, signal });
  }
}

/** A handler that throws does not end the reading: its error is nobody's, as that of an event listener. */
function call(handler: () => void): void {
  try {
    handler();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function give<M extends Types>(item: Item<M>, handlers: Handlers<M>): void {
  if (item.t === undefined) handlers.event?.(item as TopicEvent<M>);
  else if (item.t === "gap") handlers.gap?.(item as Gap);
  else if (item.t === "replaced") handlers.replaced?.();
  else handlers[item.reason]?.();
}
