// The bounded tape: nothing twice, nothing out of order, and no hole that is not known.
import { expect, test } from "vitest";
import { begin, countTypes, EMPTY, isFull, newOf, pause, prepend, resume, ROWS_MAX, shownOf, take, type Tape } from "../src/feed/tape";
import { event, events } from "./feed-event";

const all = () => true;
const notes = ({ type }: { type: string }) => type === "note";
const places = (tape: Tape, wanted: Parameters<typeof shownOf>[1] = all) => shownOf(tape, wanted).map(({ seq }) => seq);
const page = (first: number, last: number, has_more = true) => ({ events: events(first, last), cursor: `feed.${first}`, has_more });
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, at) => first + at);

test("what comes is behind what is there, and the oldest goes where it is full", () => {
  let tape = begin(EMPTY, page(11, 12), all);
  tape = take(tape, events(13, 14), all);
  expect(places(tape)).toEqual([11, 12, 13, 14]);
  expect([tape.floor, tape.more, isFull(tape, all)]).toEqual(["feed.11", true, false]);
  tape = take(tape, events(15, ROWS_MAX + 20), all);
  expect(places(tape)).toEqual(range(21, ROWS_MAX + 20));
  expect([tape.floor, isFull(tape, all), tape.sparse]).toEqual(["feed.21", true, false]);
});

test("paused, nothing changes; resumed, all of it is there", () => {
  const before = pause(begin(EMPTY, page(1, 3, false), all));
  const tape = take(take(before, events(4, 5), all), events(6, 6, { type: "x" }), all);
  expect(places(tape)).toEqual([1, 2, 3]);
  expect([newOf(tape, all), newOf(tape, notes)]).toEqual([3, 2]);
  expect(places(resume(tape, all))).toEqual(range(1, 6));
});

test("paused for too long, what is left has no hole before it", () => {
  const tape = take(pause(begin(EMPTY, page(1, 3), all)), events(4, ROWS_MAX + 5), all);
  expect(newOf(tape, all)).toBe(ROWS_MAX + 2);
  const after = resume(tape, all);
  expect(places(after)).toEqual(range(6, ROWS_MAX + 5));
  expect([after.floor, after.more, after.overrun]).toEqual(["feed.6", true, 0]);
});

test("what is wanted stays longest, and then another filter has to read anew", () => {
  let tape = begin(EMPTY, page(1, 3), notes);
  tape = take(tape, events(4, ROWS_MAX + 50, { type: "noise" }), notes);
  expect(places(tape, notes)).toEqual([1, 2, 3]);
  expect([shownOf(tape, all).length, tape.sparse, tape.floor]).toEqual([ROWS_MAX, true, "feed.1"]);
});

test("pages come before the rows, and looking further back goes on also where nothing of a page is kept", () => {
  let tape = begin(EMPTY, page(500, 600), all);
  tape = prepend(tape, page(300, 499), all);
  expect(places(tape)).toEqual(range(300, 600));
  const noise = take(begin(EMPTY, page(2_000, 2_001), notes), events(2_002, 2_999, { type: "noise" }), notes);
  const back = prepend(noise, { events: events(1_500, 1_999, { type: "noise" }), cursor: "feed.1500", has_more: true }, notes);
  expect([places(back, notes), back.floor]).toEqual([[2_000, 2_001], "feed.1500"]);
  expect(prepend(back, { events: [], cursor: "feed.1", has_more: false }, notes)).toMatchObject({ floor: "feed.1", more: false });
});

test("what an earlier reading had stays until pages reach it, once and in order", () => {
  const before = begin(EMPTY, page(1, 4), all);
  let tape = begin(before, page(9, 10), ({ seq }) => seq !== 2);
  expect(places(tape)).toEqual([1, 3, 4, 9, 10]);
  tape = prepend(tape, page(4, 8), all);
  expect(places(tape)).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(places(prepend(tape, page(1, 3, false), all))).toEqual(range(1, 10));
});

test("types are counted, the most frequent first", () => {
  const some = [event(1, { type: "b" }), event(2, { type: "a" }), event(3, { type: "c" }), event(4, { type: "c" })];
  expect(countTypes(some)).toEqual([["c", 2], ["a", 1], ["b", 1]]);
});
