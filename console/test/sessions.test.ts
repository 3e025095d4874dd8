// What a list of sessions means.
import { expect, test } from "vitest";
import { counted, folded, isOwnOnly, lagOf, lasting, type Session } from "../src/sessions/rules";

const reading = (topic: string, lag: number) => ({ topic, lag, cursor: "c.1", head: "c.2" });
const session = (sub: string, role: Session["role"] = "member") => ({ sub, role, topics: [] }) as unknown as Session;

test("a session is as far behind as its slowest topic, which is shown first", () => {
  const topics = [reading("thread/a", 0), reading("thread/b", 7), reading("thread/c", 2), reading("thread/d", 0), reading("thread/e", 0)];
  expect([lagOf({ topics }), lagOf({ topics: [] })]).toEqual([7, 0]);
  const [shown, rest] = folded(topics);
  expect([shown.map(({ topic }) => topic), rest.map(({ topic }) => topic)]).toEqual([["thread/b", "thread/c", "thread/a"], ["thread/d", "thread/e"]]);
  expect(folded(topics.slice(0, 4))[1]).toEqual([]);
});

test.each([
  [[session("ada"), session("ben")], { sub: "ada" }, false],
  [[session("ada")], { sub: "ada" }, true],
  [[session("ada", "admin")], { sub: "ada" }, false],
  [[session("ada")], { sub: "ada", role: "admin" }, false],
  [[], { sub: "ada", role: "viewer" }, true],
  [[], { sub: "ada" }, false],
])("who sees only their own %#", (sessions, me, expected) => expect(isOwnOnly(sessions, me)).toBe(expected));

test.each([
  [-5, "0 s"],
  [59, "59 s"],
  [60, "1 min"],
  [7_199, "1 h"],
  [200_000, "2 d"],
])("%d seconds are %s", (seconds, expected) => expect(lasting("2026-11-22T10:00:00.000Z", Date.parse("2026-11-22T10:00:00.000Z") + seconds * 1_000)).toBe(expected));

test("one is counted as one", () => expect([counted(0), counted(1), counted(2)]).toEqual(["0 sessions", "1 session", "2 sessions"]));
