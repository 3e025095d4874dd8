// Events in one line, and where keys move to.
import { expect, test } from "vitest";
import { target } from "../src/feed/list";
import { after, excerpt, personOf, threadOf } from "../src/feed/words";
import { event } from "./feed-event";

test.each([
  ["text", "text"],
  [{ text: " two\n\n lines\u0000 " }, "two lines"],
  [{ role: "x", message: "told" }, "told"],
  [{ text: "" }, '{"text":""}'],
  [{ a: 1 }, '{"a":1}'],
  [[1, "b"], '[1,"b"]'],
  [0, "0"],
  [null, ""],
])("%j says %s", (data, expected) => expect(excerpt(event(1, { data }))).toBe(expected));

test("what stands beside the data decides, too", () => {
  expect(excerpt(event(1, { type: "append", data: { event_id: "x.1", data: " world" } }))).toBe("world");
  expect(excerpt(event(1, { topic: "system/tenant", data: { topic: "thread/x", creator: "ada", n: 1 } }))).toBe("creator ada · n 1");
  expect(excerpt({ ...event(1), redacted: true })).toBe("redacted");
  expect(personOf(event(1, { who: "key", for: "ben" }))).toBe("key for ben");
  expect([threadOf("thread/x"), threadOf("canvas/x")]).toEqual(["x", undefined]);
});

test("a long text is cut between characters", () => {
  const said = excerpt(event(1, { data: "🥁".repeat(500) }));
  expect([...said].length).toBe(241);
  expect(said.endsWith("🥁…")).toBe(true);
});

test.each([
  ["00.000", "+0 ms"],
  ["00.999", "+999 ms"],
  ["01.500", "+1.50 s"],
  ["-1", "−1.00 s"],
])("%s behind the first: %s", (seconds, expected) => {
  const first = "2026-11-22T10:00:00.000Z";
  expect(after(first, seconds === "-1" ? "2026-11-22T09:59:59.000Z" : `2026-11-22T10:00:${seconds}Z`)).toBe(expected);
});

test.each([
  ["ArrowDown", 1, 3, 2],
  ["ArrowUp", 0, 3, -1],
  ["ArrowUp", -1, 3, 2],
  ["Home", 2, 3, 0],
  ["End", 0, 3, 2],
  ["PageUp", 30, 40, 20],
  ["a", 0, 3, undefined],
  ["ArrowDown", -1, 0, undefined],
])("%s at %d of %d moves to %s", (key, at, count, expected) => expect(target(key, at, count)).toBe(expected));
