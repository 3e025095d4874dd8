// Histograms: differences, and what share is below what.
import { expect, test } from "vitest";
import { difference, type Histogram, quantile } from "../src/overview/histogram";

const BOUNDS = [1, 2, 4];
const of = (...counts: number[]): Histogram => ({ bounds: BOUNDS, counts });

test.each([
  ["nothing", of(0, 0, 0, 0), 0.99, undefined],
  ["half of the first bucket", of(10, 0, 0, 0), 0.5, 0.5],
  ["the end of the first bucket", of(10, 0, 0, 0), 1, 1],
  ["the middle of the third", of(0, 0, 10, 0), 0.5, 3],
  ["exactly at a bound", of(5, 5, 0, 0), 0.5, 1],
  ["over buckets that are empty", of(1, 0, 1, 0), 1, 4],
  ["the least of what is there", of(0, 4, 0, 0), 0, 1],
  ["above the last bound, that bound", of(0, 0, 0, 3), 0.99, 4],
])("%s", (_, histogram, share, value) => expect(quantile(histogram, share)).toBe(value));

test("p99 of a hundred, of which one was slow", () => expect(quantile(of(98, 0, 2, 0), 0.99)).toBe(3));

test("what came between two readings", () => expect(difference(of(1, 2, 3, 4), of(1, 3, 5, 9))).toEqual(of(0, 1, 2, 5)));

test.each([
  ["it went down", of(5, 0, 0, 0), of(4, 9, 0, 0)],
  ["other bounds", { bounds: [1, 2, 5], counts: [0, 0, 0, 0] }, of(1, 1, 1, 1)],
  ["more bounds", { bounds: [1], counts: [0, 0] }, of(1, 1, 1, 1)],
])("no difference: %s", (_, before, now) => expect(difference(before, now)).toBeUndefined());

test("a share lies in the bucket of the value that has that rank, and more share is no less", () => {
  let seed = 11;
  const next = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let round = 0; round < 500; round += 1) {
    const values = Array.from({ length: 1 + Math.floor(next() * 60) }, () => next() * 4).sort((a, b) => a - b);
    const bucket = (value: number) => BOUNDS.findIndex((bound) => value <= bound);
    const counts = [0, 0, 0, 0];
    for (const value of values) counts[bucket(value)]! += 1;
    let before = 0;
    for (const share of [0.1, 0.5, 0.9, 0.99, 1]) {
      const said = quantile({ bounds: BOUNDS, counts }, share)!;
      const ranked = values[Math.ceil(share * values.length - 1e-9) - 1]!;
      if (bucket(said) !== bucket(ranked) || said < before) throw new Error(`round ${round}, share ${share}: ${said}, and not about ${ranked}`);
      before = said;
    }
  }
});
