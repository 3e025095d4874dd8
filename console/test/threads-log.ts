// A thread's log as the hub would give it: live, and folded (docs/protocol.md, "Reading folded"). Made by chance, from a seed.
import type { TopicEvent } from "@tambour/client";

/** Whole numbers below another, the same for the same seed (mulberry32). */
export function chance(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const cursor = (seq: number): string => `log.${seq}`;

/** An event of `who`, a minute behind the one before. */
export function event(seq: number, type: string, data: unknown, who = "ada", more: Partial<TopicEvent> = {}): TopicEvent {
  const time = new Date(Date.UTC(2026, 10, 22, 8, 0, seq)).toISOString();
  return { v: 1, id: cursor(seq), seq, type, time, routing: { tenant_id: "t_demo", env: "dev", actor_id: who, actor_type: "human" }, data, meta: {}, ...more } as TopicEvent;
}

export interface Log {
  head: number;
  cursor(seq: number): string;
  /** The events behind `from`, to `to`, one by one as they were written. */
  live(from: number, to: number): TopicEvent[];
  /** The same folded, as it was when the log had `head` events: each at the place of its last append. */
  folded(from: number, to: number, head: number): TopicEvent[];
}

/** A log of so many events: messages, appends to any of them, removals. */
export function logOf(random: (below: number) => number, count: number): Log {
  const events: TopicEvent[] = [];
  const removed = new Map<string, number>();
  for (let seq = 1; seq <= count; seq++) {
    const open = events.filter(({ type, id }) => type === "message" && !removed.has(id));
    const target = open[random(open.length)];
    const what = random(10);
    if (target && what < 5) events.push(event(seq, "append", { event_id: target.id, data: `<${seq}>` }));
    else if (target && what === 5 && random(3) === 0) {
      removed.set(target.id, seq);
      events.push(event(seq, "redacted", { event_id: target.id }));
    } else if (what < 8) events.push(event(seq, "message", { run_id: `r${seq}` }));
    else events.push(event(seq, "chat_message", { text: `text ${seq}` }));
  }
  return {
    head: count,
    cursor,
    // Who reads live was told before anything was removed; who repeats may be told afterwards, which folded() is.
    live: (from, to) => events.slice(from, to),
    folded: (from, to, head) => folded(events.slice(0, head), removed, head).filter(([place]) => place > from && place <= to).map(([, one]) => one),
  };
}

function folded(events: TopicEvent[], removed: Map<string, number>, head: number): Array<[place: number, event: TopicEvent]> {
  const places = events
    .filter(({ type }) => type !== "append")
    .map((one): [number, TopicEvent] => {
      const appends = events.filter(({ type, data }) => type === "append" && data.event_id === one.id);
      const gone = (removed.get(one.id) ?? Infinity) <= head;
      const last = appends.at(-1);
      const text = gone ? undefined : appends.map(({ data }) => data.data).join("");
      const fold = last && { until: last.id, ...(gone ? {} : { text, appends: appends.length }) };
      return [last?.seq ?? one.seq, { ...one, ...(gone && { data: null, redacted: true }), ...(fold && { fold }) } as TopicEvent];
    });
  return places.sort(([a], [b]) => a - b);
}
