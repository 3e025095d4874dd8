// uPlot, as the Overview uses it: one look, colours of the page's theme, one cursor over all plots.
// The only file that knows uPlot.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { short, words } from "./figures";
import type { Plot } from "./plots";
import { windowOf } from "./samples";

export const HEIGHT = 108;
const FONT = "11px system-ui, sans-serif";
const SYNC = "overview";
const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 12 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

const MINUTES = new Intl.DateTimeFormat([], { hour: "numeric", minute: "2-digit" });
const CLOCK = new Intl.DateTimeFormat([], { hour: "numeric", minute: "2-digit", second: "2-digit" });

export type Columns = [number[], ...(number | null)[][]];

/** Draws `plot` into `into`; `pointed` is told the sample under the cursor of any of the plots. */
export function draw(plot: Plot, into: HTMLElement, columns: Columns, pointed: (at: number | undefined) => void): uPlot {
  const theme = getComputedStyle(document.documentElement);
  const colour = (name: string) => theme.getPropertyValue(name).trim();
  const strokes = [colour("--plot-1"), colour("--plot-2")];
  const scales = plot.lines.map((_, at) => `y${at}`);
  const options: uPlot.Options = {
    width: into.clientWidth || 280,
    height: HEIGHT,
    padding: [13, plot.lines.length > 1 ? 0 : 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: SYNC, setSeries: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: (self) => windowOf(self.data[0] as number[]) },
      ...Object.fromEntries(scales.map((scale) => [scale, { range: (_: uPlot, __: number, most: number) => [0, above(most)] as [number, number] }])),
    },
    axes: [timeAxis(colour), ...scales.map((scale, at) => valueAxis(plot, scale, at, colour))],
    series: [
      {},
      ...plot.lines.map((_, at) => ({
        scale: scales[at],
        stroke: strokes[at],
        width: 1.5,
        // A colour of the theme is #rrggbb, so that two digits more make it translucent.
        fill: at === 0 ? `${strokes[at]}1f` : undefined,
        dash: at === 0 ? undefined : [5, 3],
        points: { size: 4 },
      })),
    ],
    hooks: {
      setCursor: [
        (self: uPlot) => {
          flag(self);
          pointed(self.cursor.idx ?? undefined);
        },
      ],
    },
  };
  return new uPlot(options, columns as uPlot.AlignedData, into);
}

/** The time under the cursor, beside its line, where there is room for it. */
function flag({ over, cursor, data }: uPlot): void {
  const shown = over.querySelector(".at") ?? over.appendChild(Object.assign(document.createElement("span"), { className: "at" }));
  const at = cursor.idx == null ? undefined : data[0][cursor.idx];
  shown.textContent = at === undefined ? "" : clock(at, true);
  shown.classList.toggle("before", (cursor.left ?? 0) > over.clientWidth / 2);
  (shown as HTMLElement).style.left = `${cursor.left ?? 0}px`;
}

/** The clock as this reader writes it, without AM and PM: all of a plot is within five minutes. */
function clock(seconds: number, exact: boolean): string {
  const parts = (exact ? CLOCK : MINUTES).formatToParts(seconds * 1000);
  return parts
    .filter(({ type }) => type !== "dayPeriod")
    .map(({ value }) => value)
    .join("")
    .trim();
}

/** Room above the most, and never no height at all. */
function above(most: number | null): number {
  return most ? most * 1.15 : 1;
}

function timeAxis(colour: (name: string) => string): uPlot.Axis {
  return {
    stroke: colour("--faint"),
    font: FONT,
    size: 22,
    gap: 3,
    space: 60,
    grid: { show: false },
    ticks: { stroke: colour("--line"), width: 1, size: 3 },
    values: (_, at) => at.map((seconds) => clock(seconds, seconds % 60 !== 0)),
  };
}

function valueAxis(plot: Plot, scale: string, at: number, colour: (name: string) => string): uPlot.Axis {
  return {
    scale,
    side: at === 0 ? 3 : 1,
    stroke: colour("--faint"),
    font: FONT,
    size: plot.steps === "binary" ? 56 : 40,
    gap: 4,
    space: 26,
    incrs: plot.steps && (plot.steps === "whole" ? WHOLE : BINARY),
    grid: { show: at === 0, stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    values: (_, values) => values.map((value) => (plot.steps === "binary" ? words(value, plot.format) : short(value))),
  };
}
