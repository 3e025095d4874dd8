// A thread's events in, its messages out: what is known of each event, and of the text that was appended to it, in whatever
// order and however often it was told. Rules alone: it reads no hub, keeps nothing, and knows nothing of how it looks.
import type { Gap, TopicEvent } from "@tambour/client";

/** Events that are kept to be shown; the oldest go first. */
export const EVENTS_MAX = 1_000;
/** Characters of all of them together. */
export const CHARACTERS_MAX = 4_000_000;
/** Appends that wait for the event that they belong to. */
export const ORPHANS_MAX = 1_000;
const GAPS_MAX = 20;

/** An event with all of its text so far. */
export interface Entry {
  event: TopicEvent;
  /** What was appended to it. */
  text: string;
  /** The place up to which `text` has everything. */
  until: number;
  removed: boolean;
}

interface Orphan {
  event: string;
  seq: number;
  text: string;
}

/** Something can't be had any more, before the event at this place. */
export interface Hole {
  seq: number;
  reason: Gap["reason"];
}

export interface Conversation {
  /** Ascending by seq, each once. */
  entries: readonly Entry[];
  orphans: readonly Orphan[];
  holes: readonly Hole[];
  /** The newest place that was seen. */
  head: number;
  /** The oldest place that was seen: where earlier events are asked from. */
  earlier?: string;
  /** Nothing is before what is shown. */
  whole: boolean;
  /** Up to this place events had to go because there were too many. */
  floor: number;
}

export const NOTHING: Conversation = { entries: [], orphans: [], holes: [], head: 0, whole: false, floor: 0 };

/** The number behind the last dot of a cursor: appends are compared with it (docs/protocol.md, "Reading folded"). */
export function seqOf(cursor: string | undefined): number | undefined {
  const digits = cursor === undefined ? undefined : /\.(\d+)$/.exec(cursor)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** With one event more, live or replayed, perhaps one that is known. */
export function add(before: Conversation, event: TopicEvent): Conversation {
  const place = placeOf(event);
  const next = event.type === "append" ? append(before, event) : put(before, event);
  return bounded({ ...next, head: Math.max(next.head, seqOf(place) ?? event.seq), earlier: next.earlier ?? place });
}

/** With a page of older events. */
export function addEarlier(before: Conversation, page: { events: readonly TopicEvent[]; cursor: string; has_more: boolean }): Conversation {
  const next = page.events.reduce(add, before);
  return { ...next, earlier: page.cursor, whole: !page.has_more };
}

/** Behind a gap: what is shown stays only where it was trimmed, else it is of a thread that is not there any more. */
export function behind(before: Conversation, { reason, oldest }: Pick<Gap, "reason" | "oldest">): Conversation {
  const hole: Hole = { seq: seqOf(oldest) ?? before.head + 1, reason };
  if (reason !== "trimmed") return { ...NOTHING, holes: [hole] };
  return { ...before, holes: [...before.holes, hole].slice(-GAPS_MAX) };
}

/** Events that are not here, and text came for them: they are in the newest page then. */
export const lacking = ({ orphans }: Conversation): string[] => [...new Set(orphans.map(({ event }) => event))];

/** The entry of an event. */
export function entryOf({ entries }: Conversation, id: string | undefined): Entry | undefined {
  const seq = seqOf(id);
  const entry = seq === undefined ? undefined : entries[place(entries, seq)];
  return entry?.event.id === id ? entry : undefined;
}

const placeOf = (event: TopicEvent): string => event.fold?.until ?? event.id;

/** Where the entry of this seq is, or belongs. */
function place(entries: readonly Entry[], seq: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]!.event.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

function put(before: Conversation, event: TopicEvent): Conversation {
  if (event.seq <= before.floor) return before;
  const at = place(before.entries, event.seq);
  const known = before.entries[at]?.event.id === event.id ? before.entries[at] : undefined;
  const told = fresh(event, known === undefined && at < before.entries.length && wasRemoved(before, event.id));
  const mine = before.orphans.filter((one) => one.event === event.id);
  const entry = mine.reduce((entry, { seq, text }) => grown(entry, seq, text), merged(known, told));
  const orphans = mine.length > 0 ? before.orphans.filter((one) => one.event !== event.id) : before.orphans;
  const next = replaced({ ...before, orphans }, at, known ? 1 : 0, entry);
  return event.type === "redacted" ? remove(next, event.data?.event_id) : next;
}

function append(before: Conversation, event: TopicEvent): Conversation {
  const { event_id: target, data: text } = event.data ?? {};
  // The text of a removed event is gone with it.
  if (typeof target !== "string" || typeof text !== "string") return before;
  const seq = seqOf(target) ?? 0;
  const at = place(before.entries, seq);
  const known = before.entries[at];
  if (known?.event.id === target) return replaced(before, at, 1, grown(known, event.seq, text));
  if (seq <= before.floor || before.orphans.some((one) => one.seq === event.seq)) return before;
  const orphans = [...before.orphans, { event: target, seq: event.seq, text }].sort((a, b) => a.seq - b.seq);
  return { ...before, orphans: orphans.slice(-ORPHANS_MAX) };
}

function fresh(event: TopicEvent, wasRemoved: boolean): Entry {
  const removed = wasRemoved || event.redacted === true;
  return { event, text: removed ? "" : (event.fold?.text ?? ""), until: seqOf(event.fold?.until) ?? event.seq, removed };
}

/** What was told later counts; what was removed stays so. The same object where nothing is new. */
function merged(known: Entry | undefined, told: Entry): Entry {
  if (!known) return told;
  const newest = told.until > known.until ? told : known;
  return told.removed || known.removed ? without(newest) : newest;
}

function grown(entry: Entry, seq: number, text: string): Entry {
  if (seq <= entry.until) return entry;
  return { ...entry, text: entry.removed ? "" : entry.text + text, until: seq };
}

const without = (entry: Entry): Entry => (entry.removed && entry.text === "" ? entry : { ...entry, text: "", removed: true });

function remove(before: Conversation, id: string | undefined): Conversation {
  const entry = entryOf(before, id);
  return entry ? replaced(before, place(before.entries, entry.event.seq), 1, without(entry)) : before;
}

/** A page may have been made before its event was removed. */
function wasRemoved({ entries }: Conversation, id: string): boolean {
  return entries.some(({ event }) => event.type === "redacted" && event.data?.event_id === id);
}

function replaced(before: Conversation, at: number, count: 0 | 1, entry: Entry): Conversation {
  if (count === 1 && before.entries[at] === entry) return before;
  return { ...before, entries: [...before.entries.slice(0, at), entry, ...before.entries.slice(at + count)] };
}

/** What an entry takes, about. */
const sizes = new WeakMap<TopicEvent, number>();
function sizeOf({ event, text }: Entry): number {
  let size = sizes.get(event);
  if (size === undefined) {
    size = JSON.stringify(event.data ?? null).length;
    sizes.set(event, size);
  }
  return size + text.length;
}

function bounded(now: Conversation): Conversation {
  let characters = now.entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  let from = Math.max(0, now.entries.length - EVENTS_MAX);
  for (const entry of now.entries.slice(0, from)) characters -= sizeOf(entry);
  // The last stays, however long it is.
  for (; characters > CHARACTERS_MAX && from < now.entries.length - 1; from++) characters -= sizeOf(now.entries[from]!);
  if (from === 0) return now;
  const floor = Math.max(now.floor, now.entries[from - 1]!.event.seq);
  return { ...now, entries: now.entries.slice(from), orphans: now.orphans.filter(({ event }) => (seqOf(event) ?? 0) > floor), floor };
}
