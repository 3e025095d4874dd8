// When the hub is asked again. The rule is pure; the loop keeps to it, and rests while nobody can see the page.
// It never asks twice at once.
import type { HubError } from "@tambour/client";
import { asHubError } from "../parts/resource";

const AWAY_MS = 2_000;
const REFUSED_MS = 10_000;
const PAUSE_MS_MIN = 100;

/** Milliseconds until the next question; nothing: not before somebody wants it. `took` is how long this one took. */
export function pauseMs(error: Pick<HubError, "status" | "code" | "retryAfterMs"> | undefined, every: number, took: number): number | undefined {
  if (!error) return Math.max(PAUSE_MS_MIN, every - took);
  // Who may not will not be let in by asking.
  if (error.code === "permission.denied") return undefined;
  const away = error.status === 0 || error.status >= 500;
  return Math.max(error.retryAfterMs ?? 0, away ? AWAY_MS : REFUSED_MS, every);
}

/** Asks `every` so many milliseconds, until it is stopped. `ask` fails with what the hub says. */
export function poll(ask: (signal: AbortSignal) => Promise<void>, every: number): () => void {
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
