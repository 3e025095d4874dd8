// The shapes that users of the package see: events, what comes beside them, and options.
// Types alone; what the HTTP interface has is in openapi.ts.
import type { HubError } from "./errors.js";
import type { Transport } from "./ladder.js";
import type { Event, StreamToken } from "./openapi.js";

export type { StreamToken };

/** What is published to a topic, by type: `{ chat_message: { text: string } }`. */
export type Types = Record<string, any>;

/** An event of a topic's log. Behind `fold`, its `fold.text` is all that was appended to it so far. */
export type TopicEvent<M extends Types = Types> = {
  [K in keyof M & string]: Omit<Event, "type" | "data"> & { type: K; data: M[K]; t?: undefined };
}[keyof M & string];

/** Events that were asked for can't be had any more. Everything that is kept follows. */
export interface Gap {
  t: "gap";
  /** `trimmed`: not kept; `reset`: the topic was made anew or restored; `unknown`: no cursor of this topic. */
  reason: "trimmed" | "reset" | "unknown";
  requested: string;
  oldest: string;
  newest: string;
}

/** Nothing more comes: the topic was closed or deleted, or it may not be read any more. */
export interface Ended {
  t: "subscription_ended";
  reason: "closed" | "deleted" | "forbidden";
}

/** Another stream of the same stream token goes on in place of this one. Nothing more comes here. */
export interface Replaced {
  t: "replaced";
}

/** An event of a topic as the feed tells it: `feed_id` is its cursor there, `id` and `seq` are of its topic. */
export type FeedEvent<M extends Types = Types> = TopicEvent<M> & { feed_id: string };

/** What a subscription gives. What is the hub's own has a `t`; an event has none. */
export type Item<M extends Types = Types, E = TopicEvent<M>> = E | Gap | Ended | Replaced;

/** Where to begin. Without `after` and `last`: with what is published from now on. */
export interface StartOptions {
  /** A cursor (the `id` of an event, in the feed its `feed_id`), or `earliest`. */
  after?: string;
  /** So many events before the newest, 0 to 500. */
  last?: number;
  /** Resume where this page was, by the `storage` of the hub; a name where a page reads a topic more than once. Wins over `after` and `last`. */
  persist?: boolean | string;
  /** Ends the subscription. */
  signal?: AbortSignal;
}

/** Where and how to read a topic. */
export interface ReadOptions extends StartOptions {
  /** What was missed comes with appends folded into their events. */
  fold?: boolean;
}

/** Where to begin in the feed, and what of it to read; an event has to meet both. At most 32 of each. */
export interface FeedOptions extends StartOptions {
  /** Types, or what they begin with and then `*`: `thread.*`. */
  types?: readonly string[];
  /** Topics: `thread/x`, `canvas/x`, `system/tenant`. */
  topics?: readonly string[];
}

/** What a subscription is doing. */
export type State = "connecting" | "live" | "waiting" | "ended";

/** What to call, in order, as it comes. */
export interface Handlers<M extends Types = Types, E = TopicEvent<M>> {
  event?(event: E): void;
  gap?(gap: Gap): void;
  /** The topic was closed; the event `closed` came before. */
  closed?(): void;
  deleted?(): void;
  /** It may not be read any more. */
  forbidden?(): void;
  replaced?(): void;
  /** It is refused for good. Without this handler that is an uncaught error. */
  error?(error: HubError): void;
  /** With what it waits for, or which transport carries it. */
  state?(state: State, how: { transport?: Transport; error?: HubError }): void;
}

/** How a write is made. */
export interface WriteOptions {
  /** 1 to 64 visible ASCII characters; made when it is missing. */
  idempotencyKey?: string;
  /** The cursor that must be the newest, or `empty`: else `expect.mismatch`. */
  expect?: string;
  /** Gives up waiting. What was not sent yet is not sent; what was may be published. */
  signal?: AbortSignal;
}

/** Where an event was written. */
export interface Written {
  id: string;
  seq: number;
}

/** A place for cursors, like `localStorage`. What it throws is ignored. */
export interface CursorStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}
