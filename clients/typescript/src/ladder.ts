// Which transport to use: the best that works here, remembered, and from time to time a better one again.
// Pure: time is an argument, and whoever asks does the trying.

/** The ways to read, from the best to the one that works everywhere. */
export type Transport = "ws" | "sse" | "poll";

/** Failures of a transport that worked before it is given up; of one that never did, one is enough. */
const FAILURES_MAX = 3;
/** The longest time until a better one is tried again, in milliseconds. */
const BETTER_MS_MAX = 30 * 60_000;

/** Where on the ladder a client is; times in milliseconds. */
export interface Ladder {
  readonly rungs: readonly Transport[];
  readonly at: number;
  readonly failures: number;
  /** The one that worked last. */
  readonly worked?: Transport;
  /** When to try a better one. */
  readonly betterAt: number;
  /** The wait behind the next vain try of a better one. */
  readonly betterMs: number;
}

/** At the top, or at what worked the last time. */
export function ladder(rungs: readonly Transport[], worked: Transport | undefined, betterMs: number, now: number): Ladder {
  const at = Math.max(0, worked === undefined ? 0 : rungs.indexOf(worked));
  return { rungs, at, failures: 0, betterAt: now + betterMs, betterMs, worked: rungs[at] === worked ? worked : undefined };
}

/** The transport to use now. */
export const current = (now: Ladder): Transport => now.rungs[now.at]!;

/** It never opened, although the hub answers: perhaps the next one. Below the last is the first. */
export function unopened(was: Ladder, transport: Transport, now: number): Ladder {
  if (current(was) !== transport) return was;
  const failures = was.failures + 1;
  if (failures < (was.worked === transport ? FAILURES_MAX : 1)) return { ...was, failures };
  return { ...was, at: (was.at + 1) % was.rungs.length, failures: 0, betterAt: now + was.betterMs };
}

/** It opened. */
export function opened(was: Ladder, transport: Transport): Ladder {
  const at = was.rungs.indexOf(transport);
  return { ...was, at, failures: 0, worked: transport };
}

/** The better transport to try, if it is time. */
export function better(now: Ladder, time: number): Transport | undefined {
  return now.at > 0 && time >= now.betterAt ? now.rungs[0] : undefined;
}

/** That was in vain; several readers may say so of the same try. */
export function inVain(was: Ladder, now: number): Ladder {
  if (now < was.betterAt) return was;
  const betterMs = Math.min(BETTER_MS_MAX, was.betterMs * 2);
  return { ...was, betterMs, betterAt: now + betterMs };
}
