// The rows that the feed’s view keeps: a bounded tape that events are written to, also while somebody has stopped it to
// read. Rules alone: every function gives a new tape, and none of them knows a clock, a hub, or what is drawn.
import type { FeedEvent } from "@tambour/client";

/** Rows that are kept, and as many that came while it was paused. */
export const ROWS_MAX = 1_000;

/** Whether an event is one that is shown now. */
export type Wanted = (event: FeedEvent) => boolean;

export interface Tape {
  /** What an earlier reading left, all of it before `rows`; between the two may be more. */
  readonly old: readonly FeedEvent[];
  /** Without a hole, oldest first, unless it is `sparse`. */
  readonly rows: readonly FeedEvent[];
  readonly paused: boolean;
  /** What came while it was paused. */
  readonly waiting: readonly FeedEvent[];
  /** Of what came while it was paused and is wanted, how much had to go again. */
  readonly overrun: number;
  /** What is not wanted now had to go for what is: another filter has to read anew. */
  readonly sparse: boolean;
  /** Down to this place of the feed everything was looked at. */
  readonly floor?: string;
  /** Whether there is something before it. */
  readonly more: boolean;
}

export const EMPTY: Tape = { old: [], rows: [], paused: false, waiting: [], overrun: 0, sparse: false, more: false };

/** What came, in order. What is wanted stays longest. */
export function take(tape: Tape, came: readonly FeedEvent[], wanted: Wanted): Tape {
  if (came.length === 0) return tape;
  if (!tape.paused) return bounded({ ...tape, rows: [...tape.rows, ...came] }, wanted);
  const { kept, shed, lost } = bound([...tape.waiting, ...came], wanted);
  return { ...tape, waiting: kept, overrun: tape.overrun + lost, sparse: tape.sparse || shed };
}

/** What comes waits from now on. */
export const pause = (tape: Tape): Tape => ({ ...tape, paused: true });

/** What waited is shown. Where some of it had to go, so has what was before it: there is no hole. */
export function resume(tape: Tape, wanted: Wanted): Tape {
  const going = { ...tape, paused: false, waiting: [], overrun: 0 };
  if (tape.overrun === 0) return bounded({ ...going, rows: [...tape.rows, ...tape.waiting] }, wanted);
  return { ...going, old: [], rows: tape.waiting, floor: tape.waiting[0]?.feed_id, more: true };
}

/** A page of the hub. */
export interface Paged {
  events: readonly FeedEvent[];
  cursor: string;
  has_more: boolean;
}

/** A page of what was before the floor. Of what is wanted, as much of it as there is room for: its newest. */
export function prepend(tape: Tape, { events, cursor, has_more }: Paged, wanted: Wanted): Tape {
  const old = without(has_more ? tape.old : [], events);
  return bounded({ ...tape, old, rows: [...events, ...tape.rows], floor: cursor, more: has_more }, wanted);
}

/** Begins anew with the newest page, and keeps what was there before it and is wanted. */
export function begin(before: Tape, { events, cursor }: Paged, wanted: Wanted): Tape {
  const old = without([...before.old, ...before.rows, ...before.waiting], events).filter(wanted);
  // The cursor of the newest page is its end; whether there is something before it, only asking tells.
  const floor = events[0]?.feed_id ?? cursor;
  return bounded({ ...EMPTY, old, rows: events, paused: before.paused, floor, more: true }, wanted);
}

function without(events: readonly FeedEvent[], those: readonly FeedEvent[]): FeedEvent[] {
  const ids = new Set(those.map(({ feed_id }) => feed_id));
  return events.filter(({ feed_id }) => !ids.has(feed_id));
}

/** What is shown. */
export const shownOf = ({ old, rows }: Tape, wanted: Wanted): FeedEvent[] => [...old, ...rows].filter(wanted);

/** How much came while it was paused. */
export const newOf = ({ waiting, overrun }: Tape, wanted: Wanted): number => waiting.filter(wanted).length + overrun;

/** Whether nothing more can be put before it: all of its rows are wanted. */
export const isFull = (tape: Tape, wanted: Wanted): boolean => shownOf(tape, wanted).length >= ROWS_MAX;

/** How often each type is there, the most frequent first. */
export function countTypes(events: readonly FeedEvent[]): Array<[type: string, count: number]> {
  const counts = new Map<string, number>();
  for (const { type } of events) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].sort(([a, most], [b, least]) => least - most || (a < b ? -1 : 1));
}

function bounded(tape: Tape, wanted: Wanted): Tape {
  const { kept, shed, lost } = bound([...tape.old, ...tape.rows], wanted);
  const wasOld = new Set(tape.old);
  const old = kept.filter((event) => wasOld.has(event));
  const rows = kept.slice(old.length);
  // Up to the floor everything was looked at: also what had to go, unless it was wanted.
  const floor = lost > 0 ? { floor: kept[0]?.feed_id, more: true } : {};
  return { ...tape, old, rows, sparse: tape.sparse || shed, ...floor };
}

/** The newest that fit: what is not wanted goes first (`shed`), then the oldest that is (`lost`). */
function bound(events: readonly FeedEvent[], wanted: Wanted): { kept: FeedEvent[]; shed: boolean; lost: number } {
  const over = events.length - ROWS_MAX;
  if (over <= 0) return { kept: [...events], shed: false, lost: 0 };
  let toShed = Math.min(over, events.filter((event) => !wanted(event)).length);
  const lost = over - toShed;
  const shed = toShed > 0;
  const left = events.filter((event) => toShed <= 0 || wanted(event) || toShed-- <= 0);
  return { kept: left.slice(lost), shed, lost };
}
