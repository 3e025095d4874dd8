// What of the feed is shown: typed, asked for, and met.
import { expect, test } from "vitest";
import { asked, filterOf, meets, narrows, problemsOf, queryOf, sameAsked, type Typed, typedIn } from "../src/feed/filter";
import { event } from "./feed-event";

const NOTHING: Typed = { type: "", topic: "", person: "", text: "", trace: "" };
const typed = (some: Partial<Typed>): Typed => ({ ...NOTHING, ...some });
const met = (some: Partial<Typed>, of: Parameters<typeof event>[1]) => meets(filterOf(typed(some)))(event(1, of));

test("the URL has what was typed, and nothing that was not", () => {
  expect(queryOf(NOTHING)).toBeUndefined();
  const query = queryOf({ trace: " a b ", type: "note", text: "" });
  expect(query).toEqual({ type: "note", trace: "a b" });
  expect(typedIn(new URLSearchParams(query))).toEqual(typed({ type: "note", trace: "a b" }));
});

test.each([
  [{ type: "chat_message thread.*,chat_message" }, { types: ["chat_message", "thread.*"], topics: undefined }],
  [{ type: "note, *" }, { types: undefined, topics: undefined }],
  [{ topic: "plan canvas/x system/tenant" }, { types: undefined, topics: ["thread/plan", "canvas/x", "system/tenant"] }],
  [{ type: "Note", topic: "plan" }, { types: undefined, topics: ["thread/plan"] }],
  [{ person: "ada", text: "x", trace: "y" }, { types: undefined, topics: undefined }],
])("%j is asked as %j", (some, expected) => expect(asked(filterOf(typed(some)))).toEqual(expected));

test("what the hub does not look at is no reason to ask anew", () => {
  const [wide, narrow] = [filterOf(NOTHING), filterOf(typed({ person: "ada" }))];
  expect([narrows(wide), narrows(narrow), sameAsked(wide, narrow)]).toEqual([false, true, true]);
  expect(sameAsked(wide, filterOf(typed({ type: "note" })))).toBe(false);
});

test.each([
  [{}, []],
  [{ type: "thread.* note", topic: "plan" }, []],
  [{ type: "Note" }, ["type"]],
  [{ type: "a*b" }, ["type"]],
  [{ type: Array.from({ length: 33 }, (_, at) => `t${at}`).join(" ") }, ["type"]],
  [{ topic: "threads/plan" }, ["topic"]],
  [{ topic: "thread/a b/c" }, ["topic"]],
  [{ topic: "system/other" }, ["topic"]],
])("%j has problems in %j", (some, expected) => expect(Object.keys(problemsOf(typed(some)))).toEqual(expected));

test.each<[Partial<Typed>, Parameters<typeof event>[1], boolean]>([
  [{ type: "thread.*" }, { type: "thread.created" }, true],
  [{ type: "thread.*" }, { type: "threads" }, false],
  [{ type: "*" }, { type: "x" }, true],
  [{ topic: "plan" }, { topic: "thread/plan" }, true],
  [{ topic: "plan" }, { topic: "canvas/plan" }, false],
  [{ topic: "plan" }, { topic: "system/tenant", data: { topic: "thread/plan" } }, true],
  [{ topic: "plan" }, { topic: "canvas/x", data: { topic: "thread/plan" } }, false],
  [{ person: "AD" }, { who: "ada" }, true],
  [{ person: "ben" }, { who: "key", for: "ben" }, true],
  [{ person: "ben" }, { who: "ada" }, false],
  [{ trace: "t-1" }, { trace: "t-1" }, true],
  [{ trace: "r1" }, { trace: "t-1" }, true],
  [{ trace: "t-" }, { trace: "t-1" }, false],
  [{ trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }, { trace: "4bf92f3577b34da6a3ce929d0e0e4736" }, true],
  [{ text: 'say "hi"' }, { data: { a: [{ b: 'They SAY "hi".' }] } }, true],
  [{ text: "zz" }, { data: { x: 1 } }, false],
  [{ text: "42" }, { data: 42 }, true],
  [{ text: "name" }, { data: { name: null } }, true],
  [{ text: "plan" }, { data: null }, true],
])("%j, %j: %s", (some, of, expected) => expect(met(some, of)).toBe(expected));
