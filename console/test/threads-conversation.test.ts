// Events in, a conversation out: whatever way the events came, it is the same. Checked against a log that is made by chance and
// read as the hub gives it: live, folded, in pages, again, late. A failure names its seed.
import type { TopicEvent } from "@tambour/client";
import { expect, test } from "vitest";
import { add, addEarlier, behind, CHARACTERS_MAX, type Conversation, entryOf, EVENTS_MAX, lacking, NOTHING } from "../src/threads/conversation";
import { chance, event, type Log, logOf } from "./threads-log";

const all = (events: readonly TopicEvent[], from: Conversation = NOTHING) => events.reduce(add, from);
/** What is shown of it. */
const shown = ({ entries }: Conversation) => entries.map(({ event, text, removed }) => [event.id, event.type, text, removed]);

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);

test.each(SEEDS)("one by one, folded, or split anywhere: seed %i", (seed) => {
  const random = chance(seed);
  const log = logOf(random, 5 + random(60));
  const truth = shown(all(log.live(0, log.head)));
  expect(shown(all(log.folded(0, log.head, log.head)))).toEqual(truth);
  const split = random(log.head + 1);
  expect(shown(all([...log.folded(0, split, split), ...log.live(split, log.head)]))).toEqual(truth);
});

test.each(SEEDS)("through reconnects, repeats, and earlier pages that are late: seed %i", (seed) => {
  const random = chance(seed + 1_000);
  const log = logOf(random, 20 + random(80));
  const truth = shown(all(log.live(0, log.head)));
  expect(shown(wander(log, random))).toEqual(truth);
});

/** A reader who begins somewhere, is cut again and again, is told things twice, and scrolls back meanwhile. */
function wander(log: Log, random: (below: number) => number): Conversation {
  let at = random(log.head);
  const start = Math.max(0, at - random(30));
  let now = all(log.folded(start, at, at));
  let before = start + 1;
  const late: Array<{ events: TopicEvent[]; cursor: string; has_more: boolean }> = [];
  while (at < log.head || before > 1 || late.length > 0) {
    const step = random(5);
    if (step === 0 && before > 1) {
      const next = Math.max(1, before - 1 - random(20));
      // Asked for now, answered at some time.
      late.push({ events: log.folded(next - 1, before - 1, at), cursor: log.cursor(next), has_more: next > 1 });
      before = next;
    } else if (step === 1 && late.length > 0) now = addEarlier(now, late.shift()!);
    else if (step === 2) now = all(log.live(Math.max(start, at - random(10)), at), now);
    else if (at < log.head) {
      const next = Math.min(log.head, at + 1 + random(12));
      now = all(step === 3 ? log.folded(at, next, next) : log.live(at, next), now);
      at = next;
    }
    // As the view does: text for what is not here is in the newest page.
    if (lacking(now).length > 0) now = all(log.folded(0, at, at), now);
  }
  return now;
}

test("what was removed stays so, also where a page from before comes late", () => {
  const message = event(1, "message", { text: "secret" });
  const removal = event(3, "redacted", { event_id: message.id });
  const page = { ...message, fold: { text: " more", appends: 1, until: "log.2" } } as TopicEvent;
  for (const order of [[message, removal, page], [page, removal], [removal, page], [page, removal, message]]) {
    const entry = entryOf(all(order), message.id);
    expect(entry).toMatchObject({ removed: true, text: "" });
  }
});

test("a gap: trimmed keeps what is shown, a thread made anew does not", () => {
  const now = all([event(1, "chat_message", { text: "a" }), event(2, "chat_message", { text: "b" })]);
  expect(behind(now, { reason: "trimmed", oldest: "log.9" })).toMatchObject({ entries: now.entries, holes: [{ seq: 9, reason: "trimmed" }] });
  expect(behind(now, { reason: "reset", oldest: "new.1" })).toMatchObject({ entries: [], head: 0, holes: [{ reason: "reset" }] });
});

test("memory is bounded by events and by characters, and what went stays away", () => {
  const many = all(Array.from({ length: EVENTS_MAX + 50 }, (_, at) => event(at + 1, "chat_message", { text: "x" })));
  expect(many.entries.length).toBe(EVENTS_MAX);
  expect(many.entries[0]!.event.seq).toBe(51);
  const again = all([event(3, "chat_message", { text: "x" }), event(EVENTS_MAX + 51, "append", { event_id: "log.4", data: "y" })], many);
  expect(again.entries).toBe(many.entries);
  expect(lacking(again)).toEqual([]);
  const long = "x".repeat(60_000);
  const heavy = all(Array.from({ length: 100 }, (_, at) => event(at + 1, "chat_message", { text: long })));
  expect(heavy.entries.length).toBe(Math.floor(CHARACTERS_MAX / (60_000 + 11)));
  expect(heavy.entries.at(-1)!.event.seq).toBe(100);
});

test("what changes nothing makes nothing anew", () => {
  const one = event(1, "message", { role: "assistant", run_id: "r" });
  const two = event(2, "append", { event_id: one.id, data: "hello" });
  const now = all([one, two]);
  expect(all([one, two, one, two], now).entries).toBe(now.entries);
});
