// The hub's numbers as they come, kept for as long as the page looks at this hub: other views may be shown meanwhile.
// It asks only while somebody follows.
import type { Hub, HubError } from "@tambour/client";
import { type Signal, signal } from "@preact/signals";
import { asHubError } from "../parts/errors";
import { poll } from "../parts/poll";
import { answered } from "../reach";
import { add, type Answer, type History, NOTHING } from "./samples";

const EVERY_MS = 1_000;
/** A hub that is slower than this is away, as far as live numbers go. */
const TIMEOUT_MS = 5_000;

export interface Watch {
  hub: Hub;
  history: Signal<History>;
  /** What the hub had against the newest question. */
  error: Signal<HubError | undefined>;
}

const watches = new WeakMap<Hub, Watch>();

/** The one watch of a hub. */
export function watchOf(hub: Hub): Watch {
  const watch = watches.get(hub) ?? { hub, history: signal(NOTHING), error: signal(undefined) };
  watches.set(hub, watch);
  return watch;
}

/** Asks once a second, until what it returns is called. */
export function follow({ hub, history, error }: Watch): () => void {
  const ask = async (signal: AbortSignal) => {
    try {
      const answer = await hub.request<Answer>("GET", "/v1/stats", { signal, timeoutMs: TIMEOUT_MS });
      if (signal.aborted) return;
      history.value = add(history.value, answer);
      error.value = undefined;
      answered();
    } catch (failed) {
      if (signal.aborted) return;
      error.value = asHubError(failed);
      answered(error.value);
      throw error.value;
    }
  };
  return poll(ask, EVERY_MS);
}
