// Which plots there are, and what each of them shows. A table; nothing here draws.
import { bytes, count, type Format, milliseconds, percent, perSecond } from "./figures";
import type { Part, Point } from "./samples";

export interface Line {
  of: keyof Point;
  /** What the line is, where a plot has more than one; and in short, beside its number. */
  name: string;
  short?: string;
}

export interface Plot {
  title: string;
  /** A second line has a scale of its own, at the other side. */
  lines: [Line] | [Line, Line];
  format: Format;
  /** Where the scale's steps may be: whole numbers, or powers of two. */
  steps?: "whole" | "binary";
  /** Not of one tenant. */
  hubOnly?: true;
}

const PLOTS: Plot[] = [
  { title: "Connections", lines: [{ of: "connections", name: "connections" }], format: count, steps: "whole" },
  { title: "Events", lines: [{ of: "eventsPerSecond", name: "events" }], format: perSecond },
  { title: "Deliveries", lines: [{ of: "deliveriesPerSecond", name: "deliveries" }], format: perSecond },
  { title: "Publish to deliver, p99", lines: [{ of: "p99Ms", name: "p99" }], format: milliseconds },
  {
    title: "Lag",
    lines: [
      { of: "readersBehind", name: "readers behind", short: "readers" },
      { of: "lagEvents", name: "most events behind", short: "events" },
    ],
    format: count,
    steps: "whole",
  },
  { title: "Topics awake", lines: [{ of: "topicsAwake", name: "topics" }], format: count, steps: "whole" },
  { title: "Memory", lines: [{ of: "memoryBytes", name: "memory" }], format: bytes, steps: "binary", hubOnly: true },
  { title: "CPU", lines: [{ of: "cpuPercent", name: "cpu" }], format: percent, hubOnly: true },
  { title: "Commit, average", lines: [{ of: "commitMs", name: "commit" }], format: milliseconds, hubOnly: true },
];

/** Those that a part has. */
export function plotsOf(part: Part): Plot[] {
  return part === "hub" ? PLOTS : PLOTS.filter(({ hubOnly }) => !hubOnly);
}
