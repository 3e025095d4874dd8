// Events that come close together are drawn together: a page that has missed much is drawn a few times, not once for each event.
// It changes neither what comes nor its order.
import type { TopicEvent } from "@tambour/client";

/** What comes within so many milliseconds is one; a hidden page's clock is slower, so there is a most, too. */
const TOGETHER_MS = 16;
const TOGETHER_MAX = 500;

export interface Gathered {
  add(event: TopicEvent): void;
  /** Gives what there is at once: something comes that stands behind it. */
  now(): void;
  drop(): void;
}

export function gathered(take: (events: readonly TopicEvent[]) => void): Gathered {
  let come: TopicEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const drop = (): readonly TopicEvent[] => {
    clearTimeout(timer);
    timer = undefined;
    const events = come;
    come = [];
    return events;
  };
  const now = () => {
    const events = drop();
    if (events.length > 0) take(events);
  };
  return {
    add(event) {
      come.push(event);
      if (come.length >= TOGETHER_MAX) now();
      else timer ??= setTimeout(now, TOGETHER_MS);
    },
    now,
    drop: () => void drop(),
  };
}
