// Numbers as they are read, and when the hub is asked again.
import { expect, test } from "vitest";
import { bytes, count, described, exact, figure, milliseconds, percent, perSecond, words } from "../src/overview/figures";
import { plotsOf } from "../src/overview/plots";
import { pauseMs } from "../src/parts/poll";

test.each([
  [0, count, "0"],
  [9_999, count, "9,999"],
  [12_345, count, "12.3K"],
  [8_000_000, count, "8M"],
  [12_345, exact, "12,345"],
  [0.25, perSecond, "0.25/s"],
  [12.34, perSecond, "12.3/s"],
  [123.4, perSecond, "123/s"],
  [0.4321, milliseconds, "0.43 ms"],
  [3.14, percent, "3.1%"],
  [0, bytes, "0 B"],
  [1_023, bytes, "1,023 B"],
  [1_024, bytes, "1 KiB"],
  [88_290_000, bytes, "84.2 MiB"],
  [3 * 1024 ** 5, bytes, "3,072 TiB"],
  [null, count, "–"],
  [undefined, bytes, "–"],
])("%s", (value, format, text) => expect(words(value, format)).toBe(text));

test("what is not known is no 0", () => expect(figure(null, perSecond)).toEqual({ text: "–", unit: "" }));

test("a plot in words", () => {
  expect(described("Events", { now: 3, least: 0, most: 40 }, perSecond)).toBe("Events: now 3/s, least 0/s, most 40/s in the last 5 minutes");
  expect(described("p99", { now: null, least: 1, most: 2 }, milliseconds)).toBe("p99: nothing now, least 1 ms, most 2 ms in the last 5 minutes");
  expect(described("p99", undefined, milliseconds)).toBe("p99: nothing known in the last 5 minutes");
});

test("a tenant has no plots of the machine", () => {
  const titles = plotsOf("scope").map(({ title }) => title);
  expect(titles).not.toContain("Memory");
  expect(plotsOf("hub").map(({ title }) => title)).toEqual(expect.arrayContaining([...titles, "Memory"]));
});

const error = (status: number, code = "any", retryAfterMs?: number) => ({ status, code, retryAfterMs });
test.each([
  ["answered at once", undefined, 0, 1_000],
  ["answered late", undefined, 300, 700],
  ["answered too late", undefined, 4_000, 100],
  ["nobody answers", error(0, "client.network"), 0, 2_000],
  ["a proxy answers", error(502), 0, 2_000],
  ["draining", error(503, "draining", 7_000), 0, 7_000],
  ["refused", error(404), 0, 10_000],
  ["too often", error(429, "rate", 30_000), 0, 30_000],
  ["not allowed", error(403, "permission.denied"), 0, undefined],
])("asked again when %s", (_, failed, took, pause) => expect(pauseMs(failed, 1_000, took)).toBe(pause));
