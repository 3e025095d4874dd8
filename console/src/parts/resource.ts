// What a view asks of the hub once: loaded, failed, or loaded again. While the hub is away it tries again by itself.
import { HubError } from "@tambour/client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { answered } from "../reach";

/** Milliseconds between tries while the hub is away. */
const AGAIN_MS = 2_000;

export interface Resource<T> {
  value?: T;
  error?: HubError;
  loading: boolean;
  /** Asks again; what was there stays until the answer comes. */
  reload(): void;
}

/** Loads with `load` at once, and again whenever one of `of` changes. */
export function useResource<T>(load: (signal: AbortSignal) => Promise<T>, of: readonly unknown[]): Resource<T> {
  const [now, set] = useState<{ value?: T; error?: HubError; loading: boolean }>({ loading: true });
  const [turn, next] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => set({ loading: true }), of);
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    set((before) => ({ ...before, loading: true }));
    latest.current(over.signal).then(
      (value) => {
        if (over.signal.aborted) return;
        answered();
        set({ value, loading: false });
      },
      (error) => {
        if (over.signal.aborted) return;
        const said = asHubError(error);
        answered(said);
        set((before) => ({ ...before, error: said, loading: false }));
        if (said.status === 0) timer = setTimeout(() => next((count) => count + 1), AGAIN_MS);
      },
    );
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [...of, turn]);
  return { ...now, reload: useCallback(() => next((count) => count + 1), []) };
}

/** Whatever was thrown, as the one kind of error that views show. */
export function asHubError(error: unknown): HubError {
  return error instanceof HubError ? error : new HubError({ code: "client.failed", detail: error instanceof Error ? error.message : String(error) });
}
