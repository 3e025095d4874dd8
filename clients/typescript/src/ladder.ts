// Which transport to use: the best that works here, remembered, and from time to time a better one again.
// Pure: time is an argument, and whoever asks does the trying.

/** The ways to read, from the best to the one that works everywhere. */
export type Transport = "ws" | "sse" | "poll";

/** What a transport that worked may fail before it is left; one that never did has half of it. */
const FAILURES_MAX = 4;
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

/**
 * It did not open, or was cut off by silence, although the hub answers: perhaps the next one. `weight` is 1 where it
 * failed at once, as a connection may that was kept too long, and 2 where it was waited for. Below the last is the first.
 */
export function unopened(was: Ladder, transport: Transport, weight: number, now: number): Ladder {
  if (current(was) !== transport) return was;
  const failures = was.failures + weight;
  if (failures < (was.worked === transport ? FAILURES_MAX : FAILURES_MAX / 2)) return { ...was, failures };
  return { ...was, at: (was.at + 1) % was.rungs.length, failures: 0, betterAt: now + was.betterMs };
}

/** It opened. One that is worse than what is used by now opened too late to count. */
export function opened(was: Ladder, transport: Transport): Ladder {
  const at = was.rungs.indexOf(transport);
  if (at > was.at) return was;
  return { ...was, at, failures: 0, worked: transport };
}

/** In how many milliseconds who reads over `transport` should try a better one; nothing where there is none. */
export function betterInMs(now: Ladder, transport: Transport, time: number): number | undefined {
  // Others have found it: there is nothing to wait for.
  if (now.rungs.indexOf(transport) > now.at) return 0;
  return now.at > 0 ? Math.max(0, now.betterAt - time) : undefined;
}

/** Which one: what others use, else the best. */
export function better(now: Ladder, transport: Transport): Transport {
  return now.rungs.indexOf(transport) > now.at ? current(now) : now.rungs[0]!;
}

/** That was in vain; several readers may say so of the same try. */
export function inVain(was: Ladder, now: number): Ladder {
  if (now < was.betterAt) return was;
  const betterMs = Math.min(BETTER_MS_MAX, was.betterMs * 2);
  return { ...was, betterMs, betterAt: now + betterMs };
}
