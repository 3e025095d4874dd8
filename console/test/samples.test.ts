// What the Overview makes of the hub's totals: rates, gaps, and what is kept.
import { expect, test } from "vitest";
import { add, type Answer, APART_SECONDS_MAX, column, type Counted, type CountedHub, type History, NOTHING, SAMPLES_MAX, summary, times, windowOf, WINDOW_SECONDS } from "../src/overview/samples";

const BOUNDS = [0.001, 0.01, 0.1];
const BEGAN = Date.parse("2026-11-22T12:00:00Z") / 1000;

function counted(more: Partial<Counted> = {}): Counted {
  const rest = { connections: 0, topics_awake: 0, readers: 0, readers_behind: 0, lag_events_max: 0, events_total: 0, deliveries_total: 0 };
  return { ...rest, delivery_seconds: { bounds: BOUNDS, counts: [0, 0, 0, 0] }, complete: true, ...more };
}

function ofHub(more: Partial<CountedHub> = {}): CountedHub {
  return { ...counted(), cpu_seconds_total: 0, write_queue: 0, commits_total: 0, commit_seconds_total: 0, store_full: false, ...more };
}

/** An answer so many seconds after the first. */
function answer(seconds: number, scope: Partial<Counted> = {}, more: Partial<Answer> = {}): Answer {
  return { at: new Date((BEGAN + seconds) * 1000).toISOString(), started_at: "2026-11-22T11:00:00.000Z", scope: counted(scope), ...more };
}

const made = (...answers: Answer[]): History => answers.reduce(add, NOTHING);

/** The same numbers each run. */
function random(seed: number): () => number {
  return () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
}

test("the first answer has what is so now, and no rates", () => {
  const { samples } = made(answer(0, { connections: 3, events_total: 70 }));
  expect(samples).toHaveLength(1);
  expect(samples[0]!.scope).toMatchObject({ connections: 3, eventsPerSecond: null, deliveriesPerSecond: null, p99Ms: null });
  expect(samples[0]!.hub).toBeNull();
});

test("rates are what came, over the hub's own time", () => {
  const history = made(answer(0, { events_total: 10 }), answer(2, { events_total: 30, deliveries_total: 100 }));
  expect(column(history, "scope", "eventsPerSecond")).toEqual([null, 10]);
  expect(column(history, "scope", "deliveriesPerSecond")).toEqual([null, 50]);
});

test("the hub's processor and commits", () => {
  const history = made(
    answer(0, {}, { hub: ofHub({ cpu_seconds_total: 5, commits_total: 10, commit_seconds_total: 1 }) }),
    answer(2, {}, { hub: ofHub({ cpu_seconds_total: 6, commits_total: 30, commit_seconds_total: 1.1, memory_bytes: 9 }) }),
    answer(3, {}, { hub: ofHub({ cpu_seconds_total: 6, commits_total: 30, commit_seconds_total: 1.1 }) }),
  );
  expect(column(history, "hub", "cpuPercent")).toEqual([null, 50, 0]);
  expect(column(history, "hub", "memoryBytes")).toEqual([null, 9, null]);
  const [, average, none] = column(history, "hub", "commitMs");
  expect(average).toBeCloseTo(5);
  expect(none).toBeNull();
});

test("an answer that the hub kept changes nothing", () => {
  const once = made(answer(0), answer(1, { events_total: 5 }));
  expect(add(once, answer(1, { events_total: 5 })).samples).toEqual(once.samples);
});

test("a restart is a gap, and no rate is below zero", () => {
  const history = made(answer(0, { events_total: 900 }), answer(1, { events_total: 950 }), answer(2, { events_total: 4 }, { started_at: "2026-11-22T12:00:01.500Z" }));
  expect(times(history).map((at) => at - BEGAN)).toEqual([0, 1, 1.5, 2]);
  expect(column(history, "scope", "connections")).toEqual([0, 0, null, 0]);
  expect(column(history, "scope", "eventsPerSecond")).toEqual([null, 50, null, null]);
});

test("a total that went down without a restart has no rate", () => {
  const history = made(answer(0, { events_total: 900, delivery_seconds: { bounds: BOUNDS, counts: [9, 0, 0, 0] } }), answer(1, { events_total: 3 }));
  expect(history.samples[1]!.scope).toMatchObject({ eventsPerSecond: null, p99Ms: null });
});

test("answers far apart are a gap", () => {
  const history = made(answer(0), answer(APART_SECONDS_MAX + 1, { events_total: 100 }));
  expect(column(history, "scope", "connections")).toEqual([0, null, 0]);
  expect(column(history, "scope", "eventsPerSecond")).toEqual([null, null, null]);
});

test("a clock that was set back begins anew", () => {
  const history = made(answer(0), answer(1), answer(-3_600, { connections: 2 }), answer(-3_599));
  expect(times(history).map((at) => at - BEGAN)).toEqual([-3_600, -3_599]);
});

test("who sees the hub no longer keeps what was seen of the tenant", () => {
  const history = made(answer(0, {}, { hub: ofHub() }), answer(1), answer(2, {}, { hub: ofHub({ cpu_seconds_total: 9 }) }));
  expect(column(history, "hub", "connections")).toEqual([0, null, 0]);
  expect(column(history, "hub", "cpuPercent")).toEqual([null, null, null]);
  expect(column(history, "scope", "eventsPerSecond")).toEqual([null, 0, 0]);
});

test("whatever comes: bounded, in order, and nothing below zero", () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const next = random(seed);
    let [history, at, events, started, born, broken] = [NOTHING, 0, 0, "a", 0, 0];
    for (let turn = 0; turn < 500; turn += 1) {
      at += next() < 0.02 ? 30 * next() : 0.4 + next();
      if (next() < 0.02) [events, started] = [0, `b${(born += 1)}`];
      events += Math.floor(next() * 100);
      history = add(history, answer(at, { events_total: events }, { started_at: started }));
      const seen = times(history);
      const ordered = seen.every((one, nth) => nth === 0 || one > seen[nth - 1]!);
      if (!ordered || seen.length > SAMPLES_MAX || seen.at(-1)! - seen[0]! > WINDOW_SECONDS) broken += 1;
    }
    expect(broken, `seed ${seed}`).toBe(0);
    const rates = column(history, "scope", "eventsPerSecond");
    expect(rates.every((rate) => rate === null || (rate >= 0 && Number.isFinite(rate))), `seed ${seed}`).toBe(true);
  }
});

test("rates over their times add up to what came", () => {
  const next = random(7);
  let [history, at, events] = [add(NOTHING, answer(0)), 0, 0];
  for (let turn = 0; turn < 200; turn += 1) {
    at += 0.5 + next();
    events += Math.floor(next() * 1_000);
    history = add(history, answer(at, { events_total: events }));
  }
  const [seen, rates] = [times(history), column(history, "scope", "eventsPerSecond")];
  const sum = rates.reduce<number>((all, rate, nth) => all + (rate ?? 0) * (nth > 0 ? seen[nth]! - seen[nth - 1]! : 0), 0);
  expect(sum).toBeCloseTo(events, 3);
});

test.each([
  [[], [240, 300]],
  [[1_000], [940, 1_000]],
  [[1_000, 1_100], [1_000, 1_100]],
  [[1_000, 1_900], [1_600, 1_900]],
])("the window of %j", (seen, window) => expect(windowOf(seen)).toEqual(window));

test.each([
  [[], undefined],
  [[null, null], undefined],
  [[3, null, 1], { now: 1, least: 1, most: 3 }],
  [[3, 4, null], { now: null, least: 3, most: 4 }],
])("the summary of %j", (values, said) => expect(summary(values)).toEqual(said));
