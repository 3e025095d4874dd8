// What a conversation looks like as lines: who said what, one behind the other, how a model's answer stands, and what else
// happened. Rules alone: it knows no element and no hub. A line's members are plain, so that two can be compared.
import type { TopicEvent } from "@tambour/client";
import type { Conversation, Entry } from "./conversation";

/** What one person says within so many milliseconds stands together. */
const TOGETHER_MS = 5 * 60_000;

/** How a model's answer stands. */
export type Answer = "growing" | "ended";

export interface Said {
  kind: "said";
  key: string;
  seq: number;
  who: string;
  /** For whom a program acts. */
  forWhom?: string;
  program: boolean;
  at: string;
  text: string;
  /** Not the first of what this person says here. */
  more: boolean;
  removed: boolean;
  removedBy?: string;
  answer?: Answer;
  /** Why it ended, in the producer's word. */
  reason?: string;
  /** Who asked it to stop. */
  stopBy?: string;
  /** Sent with it, for who wants to look: a message without text. */
  event?: TopicEvent;
}

export interface Note {
  kind: "note";
  key: string;
  seq: number;
  who: string;
  at: string;
  words: string;
  bad: boolean;
  event: TopicEvent;
}

export type Line = Said | Note | { kind: "day"; key: string; at: string } | { kind: "hole"; key: string; reason: string };

/** What the events say of each other. A run's key has its sender in it: two programs may give their runs the same name. */
interface Runs {
  /** By the event that ended, by the run and who says so, and by the run alone. */
  ends: Map<string, string>;
  stops: Map<string, string>;
  removals: Map<string, string>;
  /** The last message of each run, and the pieces of those in pieces. */
  last: Map<string, string>;
  pieces: Map<string, Entry[]>;
  /** Who speaks in a run. */
  speakers: Map<string, Set<string>>;
  messages: Set<string>;
  closed: boolean;
}

/** The lines, oldest first. */
export function linesOf(conversation: Conversation): Line[] {
  const runs = runsOf(conversation);
  const lines: Line[] = [];
  let holes = conversation.holes;
  let day = "";
  let before: Said | undefined;
  for (const entry of conversation.entries) {
    const line = lineOf(entry, runs);
    if (!line) continue;
    while (holes[0] && holes[0].seq <= line.seq) {
      const [{ reason, seq }] = holes as [{ reason: string; seq: number }];
      lines.push({ kind: "hole", key: `hole-${seq}`, reason });
      holes = holes.slice(1);
      before = undefined;
    }
    const date = new Date(line.at).toDateString();
    if (date !== day) {
      lines.push({ kind: "day", key: `day-${date}-${line.key}`, at: line.at });
      before = undefined;
    }
    day = date;
    if (line.kind === "said") line.more = before !== undefined && together(before, line);
    before = line.kind === "said" ? line : undefined;
    lines.push(line);
  }
  for (const { reason, seq } of holes) lines.push({ kind: "hole", key: `hole-${seq}`, reason });
  return lines;
}

/** Lines that came behind this place, not from this person. */
export const countSince = (lines: readonly Line[], seq: number, me: string): number => lines.filter((line) => line.kind === "said" && line.seq > seq && line.who !== me).length;

/** Whether a program has ever answered here. */
export const answered = (lines: readonly Line[]): boolean => lines.some((line) => line.kind === "said" && line.program);

/** Whether two lines look the same. */
export function same(a: Line, b: Line): boolean {
  const [one, other] = [a, b] as unknown as Array<Record<string, unknown>>;
  const names = Object.keys(one!);
  return names.length === Object.keys(other!).length && names.every((name) => one![name] === other![name]);
}

/** How an answer ended, in words; nothing where it is simply there. */
export function endWords(reason: string | undefined, stopBy: string | undefined): string {
  if (reason === "stopped" || (stopBy !== undefined && reason !== "closed")) return stopBy ? `stopped by ${stopBy}` : "stopped";
  if (reason === undefined || reason === "stop" || reason === "end_turn") return "done";
  if (reason === "length" || reason === "max_tokens") return "cut off: as long as it may be";
  if (reason === "closed") return "cut off: the thread was closed";
  return `ended: ${reason}`;
}

const together = (a: Said, b: Said): boolean =>
  a.who === b.who && a.forWhom === b.forWhom && !a.answer && !b.answer && Date.parse(b.at) - Date.parse(a.at) < TOGETHER_MS;

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const runKey = (event: TopicEvent): string | undefined => (text(event.data?.run_id) ? `run ${event.data.run_id}` : undefined);
const ownKey = (run: string, event: TopicEvent): string => `${run} of ${event.routing.actor_id}`;

function runsOf({ entries }: Conversation): Runs {
  const runs: Runs = { ends: new Map(), stops: new Map(), removals: new Map(), last: new Map(), pieces: new Map(), speakers: new Map(), messages: new Set(), closed: false };
  for (const entry of entries) learn(runs, entry);
  return runs;
}

function learn(runs: Runs, entry: Entry): void {
  const { event } = entry;
  const by = event.routing.actor_id;
  const run = runKey(event);
  const own = run === undefined ? undefined : ownKey(run, event);
  const target = text(event.data?.event_id);
  if (event.type === "closed") runs.closed = true;
  else if (event.type === "redacted" && target) runs.removals.set(target, by);
  else if (event.type === "stop") for (const key of [run, target]) key !== undefined && !runs.stops.has(key) && runs.stops.set(key, by);
  if (event.type === "run_end") for (const key of [run, own, target]) key !== undefined && runs.ends.set(key, text(event.data.reason) ?? "stop");
  if (event.type === "error" && run) for (const key of [run, own!]) runs.ends.set(key, text(event.data.message) ?? "error");
  if (event.type === "message" || event.type === "chat_message") runs.messages.add(event.id);
  if (event.type === "message" && own) runs.last.set(own, event.id);
  if (event.type === "token_chunk" && own) {
    const pieces = runs.pieces.get(own);
    if (pieces) pieces.push(entry);
    else runs.pieces.set(own, [entry]);
  }
  if ((event.type === "message" || event.type === "token_chunk") && run) runs.speakers.set(run, (runs.speakers.get(run) ?? new Set()).add(by));
}

/** Why a message's run is over, as far as it is. Where one program alone speaks in a run, anybody may say that it ended. */
function endOf(event: TopicEvent, runs: Runs): string | undefined {
  const run = runKey(event);
  const end = runs.ends.get(event.id) ?? (run && runs.ends.get(ownKey(run, event)));
  if (end !== undefined) return end;
  if (run && runs.speakers.get(run)?.size === 1 && runs.ends.has(run)) return runs.ends.get(run);
  return runs.closed ? "closed" : undefined;
}

function lineOf(entry: Entry, runs: Runs): Said | Note | undefined {
  const { event } = entry;
  const run = runKey(event);
  const shown = (run !== undefined && runs.speakers.has(run)) || runs.messages.has(text(event.data?.event_id) ?? "");
  switch (event.type) {
    case "chat_message":
    case "message":
      return said(entry, (text(event.data?.text) ?? "") + entry.text, runs);
    case "token_chunk": {
      const pieces = run === undefined ? [entry] : runs.pieces.get(ownKey(run, event))!;
      if (pieces[0] !== entry) return undefined;
      return said(entry, pieces.map((one) => (one.removed ? "" : (text(one.event.data?.text) ?? "") + one.text)).join(""), runs);
    }
    case "redacted":
      return shown ? undefined : note(entry, "removed an earlier message");
    case "run_start":
    case "run_end":
      if (shown) return undefined;
      return note(entry, event.type === "run_start" ? `began to work${event.data?.model ? ` with ${event.data.model}` : ""}` : `ended: ${text(event.data?.reason) ?? "stop"}`);
    case "stop":
      return shown ? undefined : note(entry, "asked an answer to stop");
    case "tool_call":
      return note(entry, `calls ${text(event.data?.name) ?? "a tool"}`);
    case "tool_result":
      return note(entry, text(event.data?.error) ? `got an error of a tool: ${event.data.error}` : "got the result of a tool", Boolean(event.data?.error));
    case "error":
      return note(entry, `error: ${text(event.data?.message) ?? text(event.data?.code) ?? "without words"}`, true);
    case "closed":
      return note(entry, "closed the thread");
    case "system":
      return note(entry, text(event.data?.text) ?? "system");
    case "status":
      return note(entry, `is ${String(event.data?.status ?? "").replaceAll("_", " ")}`);
    default:
      return note(entry, event.type);
  }
}

function said(entry: Entry, words: string, runs: Runs): Said {
  const { event, removed } = entry;
  const { actor_id: who, actor_type: type, acts_for: forWhom } = event.routing;
  const run = runKey(event);
  const program = event.type !== "chat_message" || event.data?.role === "assistant" || type === "agent";
  const lastOfRun = run !== undefined && event.type !== "chat_message" && (event.type === "token_chunk" || runs.last.get(ownKey(run, event)) === event.id);
  const end = endOf(event, runs);
  const answer = removed || !(lastOfRun || runs.ends.has(event.id)) ? undefined : end === undefined ? "growing" : "ended";
  return {
    kind: "said",
    key: event.id,
    seq: event.seq,
    who,
    forWhom,
    program,
    at: event.time,
    text: removed ? "" : words,
    more: false,
    removed,
    removedBy: runs.removals.get(event.id),
    answer,
    reason: answer && end,
    stopBy: answer && (runs.stops.get(event.id) ?? (run === undefined ? undefined : runs.stops.get(run))),
    event: words === "" && !removed && answer === undefined ? event : undefined,
  };
}

function note({ event }: Entry, words: string, bad = false): Note {
  return { kind: "note", key: event.id, seq: event.seq, who: event.routing.actor_id, at: event.time, words, bad, event };
}
