// Asks for the same thing again and again while the page is seen, as the list of sessions has to be: the hub tells nobody who
// comes and goes. What was there stays until there is something newer.
import { HubError } from "@tambour/client";
import { useEffect, useRef, useState } from "preact/hooks";
import { asHubError } from "../parts/resource";
import { answered } from "../reach";

/** Milliseconds from an answer to the next question: two tabs of one person stay below half of the rate of an action. */
const EVERY_MS = 3_000;

export interface Polled<T> {
  value?: T;
  error?: HubError;
  /** Asks now. */
  reload(): void;
}

/** Asks by `load`, also at once whenever one of `of` changes. */
export function usePolled<T>(load: (signal: AbortSignal) => Promise<T>, of: readonly unknown[]): Polled<T> {
  const [now, set] = useState<{ value?: T; error?: HubError }>({});
  const [turn, next] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let busy = false;
    const ask = async () => {
      clearTimeout(timer);
      if (busy || document.visibilityState === "hidden") return;
      busy = true;
      let ms = EVERY_MS;
      try {
        const value = await latest.current(over.signal);
        if (over.signal.aborted) return;
        answered();
        set({ value });
      } catch (failed) {
        if (over.signal.aborted) return;
        const error = asHubError(failed);
        answered(error);
        // Too often is no news: what is there is only a little older.
        if (error.status !== 429) set((before) => ({ ...before, error }));
        ms = Math.max(ms, error.retryAfterMs ?? 0);
      } finally {
        busy = false;
      }
      timer = setTimeout(ask, ms);
    };
    void ask();
    document.addEventListener("visibilitychange", ask);
    return () => {
      over.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [...of, turn]);
  return { ...now, reload: () => next((count) => count + 1) };
}
