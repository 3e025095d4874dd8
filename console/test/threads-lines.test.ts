// A conversation as lines, and what is on its way: what a reader sees of events, said by examples.
import { HubError, type openapi, type TopicEvent } from "@tambour/client";
import { expect, test } from "vitest";
import { add, behind, NOTHING } from "../src/threads/conversation";
import { countSince, endWords, linesOf, same } from "../src/threads/lines";
import { listed } from "../src/threads/listing";
import { dropped, type Outgoing, posted, seen, told, unseen, waiting } from "../src/threads/outgoing";
import { hueOf, initialsOf } from "../src/threads/person";
import { rightsIn } from "../src/threads/rights";
import { event } from "./threads-log";

const of = (...events: TopicEvent[]) => events.reduce(add, NOTHING);
/** The lines without days, shortly. */
const short = (...events: TopicEvent[]) =>
  linesOf(of(...events)).flatMap((line) => {
    if (line.kind === "said") return [`${line.more ? "" : `${line.who}: `}${line.removed ? "(removed)" : line.text}${line.answer ? ` [${line.answer}${line.answer === "ended" ? `, ${endWords(line.reason, line.stopBy)}` : ""}]` : ""}`];
    return line.kind === "note" ? [`* ${line.who} ${line.words}`] : [];
  });
const say = (seq: number, text: string, who = "ada") => event(seq, "chat_message", { text }, who);
const answer = (seq: number, run = "r", who = "model") => event(seq, "message", { role: "assistant", run_id: run }, who);
const grow = (seq: number, at: number, data: string) => event(seq, "append", { event_id: `log.${at}`, data }, "model");

test("what one person says stands together", () => {
  expect(short(say(1, "a"), say(2, "b"), say(3, "c", "ben"), say(400, "d", "ben"))).toEqual(["ada: a", "b", "ben: c", "ben: d"]);
});

test("an answer grows, and ends as its run does", () => {
  const asked = [say(1, "?"), answer(2), grow(3, 2, "A "), grow(4, 2, "tambour")];
  expect(short(...asked)).toEqual(["ada: ?", "model: A tambour [growing]"]);
  const end = (data: object) => short(...asked, event(6, "run_end", data, "model"))[1];
  expect(end({ run_id: "r", reason: "stop" })).toBe("model: A tambour [ended, done]");
  expect(end({ run_id: "r", reason: "length" })).toBe("model: A tambour [ended, cut off: as long as it may be]");
  expect(end({ event_id: "log.2", reason: "tired" })).toBe("model: A tambour [ended, ended: tired]");
  expect(end({ run_id: "another" })).toBe("model: A tambour [growing]");
  expect(short(...asked, event(5, "stop", { event_id: "log.2" }, "ben"), event(6, "run_end", { run_id: "r", reason: "stopped" }, "model"))).toEqual(["ada: ?", "model: A tambour [ended, stopped by ben]"]);
  expect(short(...asked, event(5, "closed", null))[1]).toBe("model: A tambour [ended, cut off: the thread was closed]");
});

test("two programs may call their runs the same", () => {
  const both = [answer(1, "r", "one"), answer(2, "r", "two"), event(3, "run_end", { run_id: "r" }, "one")];
  expect(short(...both)).toEqual(["one:  [ended, done]", "two:  [growing]"]);
});

test("pieces that are events of their own are one message", () => {
  const piece = (seq: number, text: string) => event(seq, "token_chunk", { run_id: "r", text }, "model");
  expect(short(piece(1, "A "), say(2, "?"), piece(3, "b"))).toEqual(["model: A b [growing]", "ada: ?"]);
});

test("everything else is a line of its own, with what it says", () => {
  expect(
    short(
      event(1, "tool_call", { name: "search" }, "model"),
      event(2, "error", { message: "no room" }, "model"),
      event(3, "weather.changed", { rain: true }, "sky"),
      event(4, "run_end", { run_id: "unknown", reason: "stop" }, "model"),
      event(5, "closed", null),
    ),
  ).toEqual(["* model calls search", "* model error: no room", "* sky weather.changed", "* model ended: stop", "* ada closed the thread"]);
  expect(linesOf(of(event(1, "weather.changed", { rain: true }))).at(-1)).toMatchObject({ kind: "note", event: { data: { rain: true } } });
});

test("odd data is shown and breaks nothing", () => {
  const odd = [null, 1, "text", [], { text: 5, run_id: {}, event_id: [] }];
  const types = ["chat_message", "message", "run_start", "run_end", "stop", "tool_call", "tool_result", "error", "status", "system", "token_chunk", "redacted", "append", "x"];
  const events = types.flatMap((type, at) => odd.map((data, which) => event(at * odd.length + which + 1, type, data)));
  expect(linesOf(of(...events)).length).toBeGreaterThan(50);
});

test("what was removed keeps its place", () => {
  expect(short(say(1, "a"), say(2, "b"), event(3, "redacted", { event_id: "log.1" }, "ben"))).toEqual(["ada: (removed)", "b"]);
});

test("a hole is where something is missing", () => {
  const now = add(behind(of(say(1, "a")), { reason: "trimmed", oldest: "log.5" }), say(5, "b"));
  expect(linesOf(now).map(({ kind }) => kind)).toEqual(["day", "said", "hole", "said"]);
});

test("lines that look the same are the same, and new ones are counted", () => {
  const [one, two] = [linesOf(of(say(1, "a"), say(2, "b", "ben"))), linesOf(of(say(1, "a"), say(2, "b", "ben")))];
  expect(one.every((line, at) => same(line, two[at]!))).toBe(true);
  expect(same(one[1]!, one[2]!)).toBe(false);
  expect(countSince(one, 0, "ada")).toBe(1);
});

test("a message on its way is seen once, whoever tells of it first", () => {
  const one: Outgoing = { key: "k", text: "hi", after: 1 };
  const [before, now] = [of(say(1, "hi")), of(say(1, "hi"), say(2, "hi"))];
  expect(unseen([one], before, "ada")).toEqual([one]);
  expect(unseen([one], now, "ada")).toEqual([]);
  expect(unseen([one], now, "ben")).toEqual([one]);
  // The second of two alike waits for an event of its own.
  expect(unseen([one, { ...one, key: "l" }], now, "ada").map(({ key }) => key)).toEqual(["l"]);
  const written = told([one], "k", { written: { id: "log.2", seq: 2 } });
  expect([unseen(written, before, "ada").length, unseen(written, now, "ada").length, seen(written, 2).length]).toEqual([1, 0, 0]);
  const refused = told([one], "k", { error: new HubError({ code: "permission.denied" }) });
  expect([unseen(refused, now, "ada").length, waiting(refused), waiting([one])]).toEqual([1, 0, 1]);
  expect(dropped(posted([], one), "k")).toEqual([]);
});

test("initials of any script, hues of any name", () => {
  expect(["ada", "ada.lovelace@x.org", "key:01a2", "", "  ", "地球", "علي حسن", "👩‍💻 dev"].map(initialsOf)).toEqual(["A", "AL", "K0", "?", "?", "地", "عح", "👩‍💻D"]);
  expect(["", "ada", "x".repeat(5_000)].map(hueOf).every((hue) => hue >= 0 && hue < 360)).toBe(true);
});

test("what one may do", () => {
  const thread = { creator: "cleo", visibility: "private", members: [{ sub: "ada", can: "read" }, { sub: "ben", can: "write" }] } as openapi.Topic;
  const as = (sub: string, role?: string) => Object.values(rightsIn(thread, { sub, role }));
  expect([as("ada", "member"), as("ben", "member"), as("cleo", "member"), as("dan", "member")]).toEqual([[false, false], [true, false], [true, true], [false, false]]);
  expect([as("eve", "admin"), as("cleo", "viewer"), as("eve")]).toEqual([[true, true], [false, false], [true, true]]);
});

test("threads are found by every word, and sorted", () => {
  const threads = [
    { id: "b", title: "Zürich  plan", created_at: "2026-01-02" },
    { id: "a10", created_at: "2026-01-01" },
    { id: "a9", title: " ", created_at: "2026-01-03" },
  ] as openapi.Topic[];
  const ids = (...asked: [string, "newest" | "title"]) => listed(threads, ...asked).map(({ id }) => id);
  expect(ids("", "newest")).toEqual(["a9", "b", "a10"]);
  expect(ids("", "title")).toEqual(["a9", "a10", "b"]);
  expect(ids("PLAN zurich", "title")).toEqual(["b"]);
});
