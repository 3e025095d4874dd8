// What the Overview remembers: five minutes of samples, made of the answers of `GET /v1/stats`.
// Rules alone: the hub's totals become rates here, and a restart becomes a gap. It never asks, and never plots.
import { difference, type Histogram, quantile } from "./histogram";

/** Numbers of one tenant in one env, or of the whole hub; `…_total` only grow while the hub runs. */
export interface Counted {
  connections: number;
  topics_awake: number;
  readers: number;
  readers_behind: number;
  lag_events_max: number;
  events_total: number;
  deliveries_total: number;
  delivery_seconds: Histogram;
  /** Whether everybody who was asked answered in time. */
  complete: boolean;
}

/** What only the whole hub has. */
export interface CountedHub extends Counted {
  memory_bytes?: number;
  cpu_seconds_total: number;
  write_queue: number;
  commits_total: number;
  commit_seconds_total: number;
  store_full: boolean;
}

/** The answer of `GET /v1/stats`. */
export interface Answer {
  at: string;
  started_at: string;
  scope: Counted;
  hub?: CountedHub;
}

export type Part = "scope" | "hub";

/** One moment of a part; null is: not known then. */
export interface Point {
  connections: number;
  topicsAwake: number;
  readersBehind: number;
  lagEvents: number;
  eventsPerSecond: number | null;
  deliveriesPerSecond: number | null;
  p99Ms: number | null;
  memoryBytes: number | null;
  cpuPercent: number | null;
  commitMs: number | null;
}

/** A moment, in seconds of the hub's clock. One without points is a gap. */
export interface Sample {
  at: number;
  scope: Point | null;
  hub: Point | null;
}

export interface History {
  samples: readonly Sample[];
  /** The newest answer. */
  last?: Answer;
}

export const NOTHING: History = { samples: [] };
export const SAMPLES_MAX = 300;
export const WINDOW_SECONDS = 300;
/** Answers that are further apart have no rate in common: nobody knows what was between them. */
export const APART_SECONDS_MAX = 5;
/** A plot that begins shows at least so much time, so that it is seen to move. */
const WINDOW_SECONDS_MIN = 60;

/** Takes one more answer. One that was seen already (the hub keeps them for a moment) changes nothing. */
export function add(history: History, answer: Answer): History {
  const at = Date.parse(answer.at) / 1000;
  const { last } = history;
  const newest = history.samples.at(-1);
  if (!last || !newest) return { samples: [sample(at, answer)], last: answer };
  const restarted = last.started_at !== answer.started_at;
  if (at === newest.at && !restarted) return { ...history, last: answer };
  // The clock was set back: a plot can't be at two places at one time.
  if (at <= newest.at) return { samples: [sample(at, answer)], last: answer };
  const seconds = at - newest.at;
  const anew = restarted || seconds > APART_SECONDS_MAX;
  const gap: Sample[] = anew ? [{ at: newest.at + seconds / 2, scope: null, hub: null }] : [];
  const next = anew ? sample(at, answer) : sample(at, answer, last, seconds);
  const kept = [...history.samples, ...gap, next].filter((one) => one.at >= at - WINDOW_SECONDS);
  return { samples: kept.slice(-SAMPLES_MAX), last: answer };
}

function sample(at: number, now: Answer, before?: Answer, seconds = 0): Sample {
  return {
    at,
    scope: point(now.scope, before?.scope, seconds),
    hub: now.hub ? { ...point(now.hub, before?.hub, seconds), ...ofHub(now.hub, before?.hub, seconds) } : null,
  };
}

function point(now: Counted, before: Counted | undefined, seconds: number): Point {
  const between = before && difference(before.delivery_seconds, now.delivery_seconds);
  const p99 = between && quantile(between, 0.99);
  return {
    connections: now.connections,
    topicsAwake: now.topics_awake,
    readersBehind: now.readers_behind,
    lagEvents: now.lag_events_max,
    eventsPerSecond: rate(now.events_total, before?.events_total, seconds),
    deliveriesPerSecond: rate(now.deliveries_total, before?.deliveries_total, seconds),
    p99Ms: p99 === undefined ? null : p99 * 1000,
    memoryBytes: null,
    cpuPercent: null,
    commitMs: null,
  };
}

function ofHub(now: CountedHub, before: CountedHub | undefined, seconds: number): Pick<Point, "memoryBytes" | "cpuPercent" | "commitMs"> {
  const cpu = rate(now.cpu_seconds_total, before?.cpu_seconds_total, seconds);
  const commit = rate(now.commit_seconds_total, before?.commit_seconds_total, now.commits_total - (before?.commits_total ?? 0));
  return {
    memoryBytes: now.memory_bytes ?? null,
    cpuPercent: cpu === null ? null : cpu * 100,
    commitMs: commit === null ? null : commit * 1000,
  };
}

/** Growth per unit; null where there is nothing to compare with, or a total that went down: it began anew. */
function rate(now: number, before: number | undefined, units: number): number | null {
  return before === undefined || units <= 0 || now < before ? null : (now - before) / units;
}

/** The times of a history, in seconds. */
export function times({ samples }: History): number[] {
  return samples.map(({ at }) => at);
}

/** One line of a plot. */
export function column({ samples }: History, part: Part, of: keyof Point): (number | null)[] {
  return samples.map((one) => one[part]?.[of] ?? null);
}

/** From when to when a plot shows, in seconds: it grows to five minutes, then it moves on. */
export function windowOf(at: readonly number[]): [number, number] {
  const to = at.at(-1) ?? WINDOW_SECONDS;
  const long = Math.min(WINDOW_SECONDS, Math.max(WINDOW_SECONDS_MIN, to - (at[0] ?? to)));
  return [to - long, to];
}

/** The newest, the least and the most of what is known of a line; nothing where nothing is. */
export function summary(values: readonly (number | null)[]): { now: number | null; least: number; most: number } | undefined {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return undefined;
  return { now: values.at(-1) ?? null, least: Math.min(...known), most: Math.max(...known) };
}
