// Events as the feed tells them, for tests.
import type { FeedEvent } from "@tambour/client";

/** The event at a place of the feed. */
export function event(place: number, of: { type?: string; topic?: string; who?: string; for?: string; data?: unknown; trace?: string; time?: string } = {}): FeedEvent {
  const [kind, id] = (of.topic ?? "thread/plan").split("/") as [string, string];
  return {
    v: 1,
    id: `log.${place}`,
    seq: place,
    type: of.type ?? "note",
    time: of.time ?? "2026-11-22T08:25:14.303Z",
    routing: { tenant_id: "t_demo", env: "dev", [`${kind}_id`]: id, actor_id: of.who ?? "ada", actor_type: "human", ...(of.for && { acts_for: of.for }) },
    data: of.data ?? null,
    meta: { request_id: `r${place}`, trace_id: of.trace ?? `t${place}` },
    feed_id: `feed.${place}`,
  } as FeedEvent;
}

/** Those of the places from `first` to `last`. */
export const events = (first: number, last: number, of = {}): FeedEvent[] => Array.from({ length: last - first + 1 }, (_, at) => event(first + at, of));
