// Fragments, read and written.
import { expect, test } from "vitest";
import { href, parse } from "../src/route";

test.each([
  ["", "overview", undefined],
  ["#/", "overview", undefined],
  ["#/nowhere", "overview", undefined],
  ["#/threads", "threads", undefined],
  ["#/threads/", "threads", undefined],
  ["#/threads/a%2Fb", "threads", "a/b"],
  ["#/threads/%", "threads", "%"],
  ["#/kill-switch?x=1", "kill-switch", undefined],
])("%s", (fragment, view, id) => expect(parse(fragment)).toMatchObject({ view, id }));

test("what is written is read", () => {
  const { view, id, query } = parse(href("feed", "ä/?#", { trace: "a b" }));
  expect([view, id, query.get("trace")]).toEqual(["feed", "ä/?#", "a b"]);
});
