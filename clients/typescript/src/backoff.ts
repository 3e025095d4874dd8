// How long to wait before the next try: full jitter, above what the hub asked for.
// The rules have time and randomness as arguments; `Pace` alone knows a clock.

/** The bounds of a backoff, in milliseconds. */
export interface Backoff {
  firstMs: number;
  maxMs: number;
}

/** A connection that lived so long was none that fails. */
export const STABLE_MS = 5_000;

/**
 * The wait before try `failures` + 1: between the floor and the floor plus a ceiling that doubles. `random` is in 0..1.
 */
export function waitMs(failures: number, random: number, floorMs: number, { firstMs, maxMs }: Backoff): number {
  return Math.round(floorMs + random * Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30)));
}

/** How often something failed, and until when to wait; times are of one clock, in milliseconds. */
export interface Waiting {
  failures: number;
  /** The next try. */
  until: number;
  /** The hub asked not to be tried before; nothing shortens this. */
  floor: number;
}

/** At the beginning. */
export const NOT_WAITING: Waiting = { failures: 0, until: 0, floor: 0 };

/** It failed, behind `livedMs` in which it worked. Failures that come while a wait is on are the same failure. */
export function failed(was: Waiting, now: number, random: number, floorMs: number, livedMs: number, bounds: Backoff): Waiting {
  const floor = Math.max(was.floor, now + floorMs);
  if (now <= was.until) return { ...was, floor, until: Math.max(was.until, floor) };
  const failures = livedMs >= STABLE_MS ? 0 : was.failures;
  return { failures: failures + 1, floor, until: now + waitMs(failures, random, floorMs, bounds) };
}

/** Waits by those rules. */
export class Pace {
  #waiting = NOT_WAITING;
  #wakers = new Set<() => void>();

  constructor(readonly bounds: Backoff) {}

  /** It failed; the next `wait` is longer. */
  fail(floorMs = 0, livedMs = 0): void {
    this.#waiting = failed(this.#waiting, Date.now(), Math.random(), floorMs, livedMs, this.bounds);
  }

  /** Who waits tries now, but for what the hub asked for. */
  wake(): void {
    this.#waiting = { ...this.#waiting, until: this.#waiting.floor };
    for (const waker of [...this.#wakers]) waker();
  }

  /** Until the next try may be made; ends early, without an error, when `signal` is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    for (;;) {
      const ms = this.#waiting.until - Date.now();
      if (ms <= 0 || signal.aborted) return;
      await sleep(ms, signal, this.#wakers);
    }
  }
}

/** So long, in milliseconds, or until `signal` is aborted, or until one of `wakers` is called. Never fails. */
export function sleep(ms: number, signal: AbortSignal, wakers = new Set<() => void>()): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      wakers.delete(done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : Math.min(ms, 0x7fff_ffff));
    wakers.add(done);
    signal.addEventListener("abort", done);
  });
}
