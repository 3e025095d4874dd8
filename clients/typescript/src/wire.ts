// What a transport is to a reader: it opens a line, and tells a sink what comes.
// A line never tells anything before `open` has returned, nor behind `close`; it never comes back by itself.
import type { HubError } from "./errors.js";
import type { Http } from "./http.js";
import type { Event } from "./openapi.js";
import type { Ended, Gap } from "./types.js";

/** What a reader asks for. */
export interface Ask {
  /** A topic, or `feed`. */
  topic: string;
  /** A cursor, or `earliest`. */
  after?: string;
  last?: number;
  fold?: boolean;
  /** Of the feed: what of it. */
  types?: readonly string[];
  topics?: readonly string[];
}

/** Why nothing more ends a line. */
export type End = Ended["reason"] | "replaced";

/** How a line was lost: it failed before it opened; the hub said no; it broke; nothing was heard for too long. */
export type Loss = "unopened" | "refused" | "cut" | "silent";

/** Who is told. */
export interface Sink {
  /** It is live; `cursor` is where this reader starts, if that was said. */
  opened(cursor?: string): void;
  event(event: Event): void;
  /** `cursor` gets what follows again. */
  gap(gap: Gap, cursor: string): void;
  /** Everything up to here was given. */
  reached(cursor: string): void;
  ended(why: End): void;
  /** The token that it was opened with runs out soon, and this line with it. */
  expiring(token?: string): void;
  /** It is over; `floorMs` is what the hub asked to wait, `token` what it was opened with. */
  lost(error: HubError, how: Loss, floorMs?: number, token?: string): void;
}

/** One topic, or the feed, as it comes to one reader. */
export interface Line {
  close(): void;
  /** Finds out now whether it lives still. */
  check(): unknown;
}

/** What transports share. */
export interface Wires {
  http: Http;
  /** Until a connection must have opened, in milliseconds. */
  openTimeoutMs: number;
  /** Until an answer to a sign of life must have come, in milliseconds. */
  checkMs: number;
}

/** The hub's own messages have a `t`. */
export type Own = { t: string } & Record<string, any>;

/** A gap as it is told to users. */
export const gapOf = ({ reason, requested, oldest, newest }: Record<string, any>): Gap => ({ t: "gap", reason, requested, oldest, newest });
