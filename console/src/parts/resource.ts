// What a view asks of the hub: loaded, failed, or loaded again. While the hub is away it tries again by itself, and when it is
// back it looks whether anything is other now.
import type { HubError } from "@tambour/client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { answered, reach } from "../reach";
import { asHubError } from "./errors";
import { poll } from "./poll";

export interface Resource<T> {
  value?: T;
  error?: HubError;
  loading: boolean;
  /** Asks again; what was there stays until the answer comes. */
  reload(): void;
}

interface How {
  /** Asks again so many milliseconds later, while the page is seen. */
  every?: number;
  /** What was there stays, too, when `of` changes. */
  stays?: boolean;
}

type Now<T> = Omit<Resource<T>, "reload">;

/** Loads with `load` at once, and again whenever one of `of` changes. */
export function useResource<T>(load: (signal: AbortSignal) => Promise<T>, of: readonly unknown[], { every, stays = false }: How = {}): Resource<T> {
  const [now, set] = useState<Now<T>>({ loading: true });
  const [turn, next] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => void (stays || set({ loading: true })), of);
  useEffect(() => {
    const ask = async (signal: AbortSignal) => {
      set((before) => (before.loading ? before : { ...before, loading: true }));
      try {
        const value = await latest.current(signal);
        if (signal.aborted) return;
        answered();
        set({ value, loading: false });
      } catch (failed) {
        if (signal.aborted) return;
        const error = asHubError(failed);
        answered(error);
        // Too often is no news: what is there is only a little older.
        set((before) => (error.status === 429 && before.value !== undefined ? { ...before, loading: false } : { ...before, error, loading: false }));
        throw error;
      }
    };
    return poll(ask, every);
  }, [...of, every, turn]);
  const reload = useCallback(() => next((count) => count + 1), []);
  useBack(reload);
  return { ...now, reload };
}

/** Calls `again` whenever the hub was away and is not any more: what is shown is from before. */
function useBack(again: () => void): void {
  const was = useRef(reach.value);
  const now = reach.value;
  useEffect(() => {
    if (was.current === "away" && now === "live") again();
    was.current = now;
  }, [now]);
}
