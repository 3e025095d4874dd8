// A conversation as it is read: its lines, what was written here and is on its way, and where the reader stands in it. New
// messages are told to who can't see them; an answer that grows is not, until it is done.
import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Act } from "../parts";
import { type Conversation, EVENTS_MAX, seqOf } from "./conversation";
import { countSince, type Line, linesOf, same } from "./lines";
import { type Around, LineView, OutgoingView } from "./message";
import { unseen } from "./outgoing";
import { useStanding } from "./scroll";

/** Where fewer messages than this came at first, earlier ones are read at once. */
const FIRST_MIN = 12;

interface Asked {
  around: Around;
  /** The oldest event that the hub keeps, where it is known. */
  oldest?: string;
  /** Puts a text back where one writes. */
  edit: (text: string) => void;
}

export function Log({ around, oldest, edit }: Asked) {
  const { chat, me } = around;
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const conversation = chat.conversation.value;
  const settled = chat.settled.value;
  const lines = useMemo(() => linesOf(conversation), [conversation]);
  const rows = useRows(lines, around);
  const outgoing = unseen(chat.box.value, conversation, me);
  const { atEnd, toEnd } = useStanding(box, list);
  const fresh = useFresh(conversation, lines, atEnd, me);
  const newest = outgoing.at(-1)?.key;
  // Who has written something wants to see it.
  useEffect(() => void (newest !== undefined && toEnd()), [newest]);
  const before = hasEarlier(conversation, oldest);
  useFirst(lines, settled && before, () => chat.earlier());
  return (
    <div class="log-frame">
      <div class="log" ref={box} role="log" aria-label="Messages" tabIndex={0} aria-live={settled ? "polite" : "off"} aria-relevant="additions">
        <div class="lines" ref={list}>
          <Top conversation={conversation} before={before} earlier={() => chat.earlier()} />
          {rows}
          {outgoing.map((one, at) => (
            <OutgoingView key={one.key} one={one} more={at > 0} around={around} edit={edit} />
          ))}
          {settled && lines.length === 0 && outgoing.length === 0 && <p class="empty">Nothing has been said here yet.</p>}
        </div>
      </div>
      {!atEnd && (
        <button type="button" class="to-end" onClick={() => (toEnd(), box.current?.focus())}>
          {fresh > 0 ? `${fresh} new message${fresh === 1 ? "" : "s"} ↓` : "To the newest ↓"}
        </button>
      )}
      <Told lines={lines} settled={settled} />
    </div>
  );
}

/** A line that looks as before is not drawn again: Preact leaves out an element that is the same object. */
function useRows(lines: readonly Line[], around: Around): VNode[] {
  const kept = useRef<{ around: Around; rows: Map<string, { line: Line; row: VNode }> }>({ around, rows: new Map() });
  const known = kept.current.around === around ? kept.current.rows : new Map<string, { line: Line; row: VNode }>();
  const rows = new Map<string, { line: Line; row: VNode }>();
  for (const line of lines) {
    const one = known.get(line.key);
    rows.set(line.key, one && same(one.line, line) ? one : { line, row: <LineView key={line.key} line={line} around={around} /> });
  }
  kept.current = { around, rows };
  return [...rows.values()].map(({ row }) => row);
}

/** How many messages came while who reads was further up. */
function useFresh({ head }: Conversation, lines: readonly Line[], atEnd: boolean, me: string): number {
  const read = useRef(0);
  if (atEnd) read.current = head;
  return atEnd ? 0 : countSince(lines, read.current, me);
}

/** Many appends may have taken the place of messages: then the page begins with more. */
function useFirst(lines: readonly Line[], may: boolean, earlier: () => Promise<void>): void {
  const done = useRef(false);
  const few = lines.filter(({ kind }) => kind === "said").length < FIRST_MIN;
  useEffect(() => {
    if (!may || done.current) return;
    done.current = true;
    if (few) earlier().catch(() => {});
  }, [may]);
}

function hasEarlier({ earlier, whole, floor }: Conversation, oldest: string | undefined): boolean {
  const from = seqOf(earlier);
  return !whole && floor === 0 && from !== undefined && from > Math.max(1, seqOf(oldest) ?? 1);
}

function Top({ conversation, before, earlier }: { conversation: Conversation; before: boolean; earlier: () => Promise<void> }) {
  if (conversation.floor > 0) return <p class="hole">The newest {EVENTS_MAX.toLocaleString()} events are shown, or as many as this page has room for.</p>;
  if (!before) return null;
  return (
    <div class="earlier">
      <Act kind="plain" run={earlier}>
        Show earlier
      </Act>
    </div>
  );
}

/** Says once that an answer is done; while it grew nothing was said. */
function Told({ lines, settled }: { lines: readonly Line[]; settled: boolean }) {
  const growing = useRef(new Set<string>());
  const [words, say] = useState("");
  useEffect(() => {
    const now = new Set<string>();
    for (const line of lines) {
      if (line.kind !== "said") continue;
      if (line.answer === "growing") now.add(line.key);
      else if (growing.current.has(line.key) && settled) say(`${line.who} has answered: ${line.text.slice(0, 500)}`);
    }
    growing.current = now;
  }, [lines]);
  return (
    <p class="unseen" role="status">
      {words}
    </p>
  );
}
