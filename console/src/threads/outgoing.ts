// What somebody has written here and the thread does not show yet. Rules alone: nothing is sent here.
import type { HubError, Written } from "@tambour/client";
import type { Conversation } from "./conversation";

/** Messages that were refused and are kept to be tried again; the oldest go first. */
export const REFUSED_MAX = 100;

/** One message on its way. */
export interface Outgoing {
  /** Under this the hub writes it once. */
  key: string;
  text: string;
  /** The newest place when it was written. */
  after: number;
  /** Where the hub says it is. */
  written?: Written;
  error?: HubError;
}

export type Outbox = readonly Outgoing[];

export function posted(box: Outbox, one: Outgoing): Outbox {
  const refused = box.filter(({ error }) => error).length;
  const surplus = box.find(({ error }) => error && refused > REFUSED_MAX);
  return [...box.filter((other) => other !== surplus), one];
}

/** With what became of one. */
export function told(box: Outbox, key: string, fate: { written?: Written; error?: HubError }): Outbox {
  return box.map((one) => (one.key === key ? { key, text: one.text, after: one.after, ...fate } : one));
}

export const dropped = (box: Outbox, key: string): Outbox => box.filter((one) => one.key !== key);

/**
 * What the thread does not show yet. An event may be read before the hub's answer says that it is ours; so until then an event
 * of ours with the same text, behind what we had seen, is taken for it.
 */
export function unseen(box: Outbox, { entries, head }: Conversation, me: string): Outbox {
  const taken = new Set(box.map(({ written }) => written?.id));
  return box.filter(({ written, error, text, after }) => {
    if (written) return written.seq > head;
    if (error) return true;
    const its = entries.find(({ event }) => event.seq > after && event.routing.actor_id === me && event.type === "chat_message" && event.data?.text === text && !taken.has(event.id));
    if (its) taken.add(its.event.id);
    return !its;
  });
}

/** Without those whose events were seen. */
export const seen = (box: Outbox, head: number): Outbox => (box.some(({ written }) => written && written.seq <= head) ? box.filter(({ written }) => !written || written.seq > head) : box);

/** How many wait for the hub. */
export const waiting = (box: Outbox): number => box.filter(({ written, error }) => !written && !error).length;
