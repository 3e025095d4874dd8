// What can be read: a topic, or the feed. By iteration, by callbacks, in pages.
// It holds no connection; those are the readers'.
import type { HubError } from "./errors.js";
import { eventsOf, query } from "./http.js";
import type { Core } from "./hub.js";
import type { Transport } from "./ladder.js";
import type { EventPage } from "./openapi.js";
import type { Reader } from "./reader.js";
import type { Ended, Gap, Handlers, Item, Replaced, StartOptions, State, TopicEvent, Types } from "./types.js";

/** Items that wait for who iterates; above it nothing more is taken until they are read. */
const ITEMS_MAX = 1_024;

/** What is read by callbacks. */
export interface Subscription {
  readonly state: State;
  /** The place behind what was given last. */
  readonly cursor: string | undefined;
  readonly transport: Transport | undefined;
  close(): void;
}

/** A page of the log. */
export type Page<M extends Types = Types, E = TopicEvent<M>> = Omit<EventPage, "events"> & { events: E[] };

/** What a page is asked for by: one of `after`, `before`, `last`, or none for the newest. */
export interface PageStart {
  after?: string;
  before?: string;
  /** 0 to 500. */
  last?: number;
  /** 1 to 500; 100 by default. */
  limit?: number;
  signal?: AbortSignal;
}

/** What a page of a topic is asked for by. */
export interface PageOptions extends PageStart {
  fold?: boolean;
}

/** What a page of the feed is asked for by. */
export interface FeedPageOptions extends PageStart {
  types?: readonly string[];
  topics?: readonly string[];
}

/** A log: `E` are its events, `O` and `P` how it and a page of it are read. */
export class Log<E, O extends StartOptions, P extends PageStart> {
  protected readonly core: Core;

  /** `name` is that of a topic, or `feed`. */
  constructor(
    core: Core,
    readonly name: string,
  ) {
    this.core = core;
  }

  /**
   * What comes, from where it is asked for, for ever: until the topic is over, `break`, or an abort (which throws the
   * signal's reason). Begins with the first `next`. Throws `HubError` where it is refused for good.
   */
  async *events(options: O = {} as O): AsyncGenerator<Item<Types, E>, void, undefined> {
    const queue: Array<[Item, string]> = [];
    let given: [Item, string] | undefined;
    let wake = () => {};
    let over: { error?: unknown } | undefined;
    let paused = false;
    const { reader, keep } = this.core.read(this.name, options, {
      item: (item, cursor) => {
        queue.push([item, cursor]);
        if (queue.length >= ITEMS_MAX && !paused) {
          paused = true;
          reader.pause();
        }
        wake();
      },
      place: (cursor) => {
        // Not before who iterates has dealt with what came before that place.
        const last = queue.at(-1) ?? given;
        if (last) last[1] = cursor;
        else keep(cursor);
      },
      state: () => {},
      done: (error) => {
        over = { error };
        wake();
      },
    });
    try {
      for (;;) {
        given = queue.shift();
        if (given) {
          yield given[0] as Item<Types, E>;
          keep(given[1]);
          given = undefined;
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
  subscribe(options: O, handlers: Handlers<Types, E>): Subscription {
    let state: State = "connecting";
    let place: string | undefined;
    let reader!: Reader;
    const read = this.core.read(this.name, options, {
      item: (item, cursor) => {
        place = cursor;
        call(() => give(item as Item<Types, E>, handlers));
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
        if (error === undefined || error === options.signal?.reason) return;
        call(() => {
          // Nobody is there to be told: it is an uncaught error, and no page that stays empty.
          if (!handlers.error) throw error;
          handlers.error(error as HubError);
        });
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

  /** A page of the log, ascending. Fails with `cursor.gone` where a stream tells a gap. */
  page({ signal, ...from }: P = {} as P): Promise<Page<Types, E>> {
    return this.core.http.request("GET", eventsOf(this.name) + query(from), { signal });
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

function give<E>(item: Item<Types, E>, handlers: Handlers<Types, E>): void {
  const own = item as Gap | Ended | Replaced;
  if (own.t === undefined) handlers.event?.(item as E);
  else if (own.t === "gap") handlers.gap?.(own);
  else if (own.t === "replaced") handlers.replaced?.();
  else handlers[own.reason]?.();
}
