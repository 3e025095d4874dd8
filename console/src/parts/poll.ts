// When the hub is asked again. The rule is pure; the loop keeps to it, and rests while nobody can see the page.
// It never asks twice at once.
import type { HubError } from "@tambour/client";
import { asHubError, passes } from "./errors";

const AGAIN_MS = 2_000;
const REFUSED_MS = 10_000;
const PAUSE_MS_MIN = 100;

/**
 * Milliseconds until the next question; nothing: not before somebody wants it. `every` is how often it is asked where all is
 * well (nothing: once), `took` how long this one took.
 */
export function pauseMs(error: Pick<HubError, "status" | "code" | "retryAfterMs"> | undefined, every: number | undefined, took: number): number | undefined {
  if (!error) return every === undefined ? undefined : Math.max(PAUSE_MS_MIN, every - took);
  const floor = error.retryAfterMs ?? 0;
  if (passes(error)) return Math.max(floor, AGAIN_MS);
  // Who may not will not be let in by asking; each time would be an entry of the audit.
  if (error.code === "permission.denied" || every === undefined) return undefined;
  return Math.max(floor, REFUSED_MS, every);
}

/** Asks, again when it is time, until it is stopped. `ask` fails with what the hub says. */
export function poll(ask: (signal: AbortSignal) => Promise<unknown>, every?: number): () => void {
  const over = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  const turn = async () => {
    clearTimeout(timer);
    if (busy || over.signal.aborted || document.visibilityState === "hidden") return;
    busy = true;
    const began = performance.now();
    const error = await ask(over.signal).then(() => undefined, asHubError);
    const pause = pauseMs(error, every, performance.now() - began);
    // Where nothing more is to be asked it stays busy for good: being seen again is no reason either.
    if (over.signal.aborted || pause === undefined) return;
    busy = false;
    timer = setTimeout(turn, pause);
  };
  document.addEventListener("visibilitychange", turn);
  void turn();
  return () => {
    over.abort();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
}
