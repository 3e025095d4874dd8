// One thread, as it is shown: read live, scrolled back, written to. It has the signals that the view follows; the rules are in
// conversation.ts and outgoing.ts. It draws nothing.
import { HubError, type Hub, type openapi, type Subscription, type Topic } from "@tambour/client";
import { batch, type Signal, signal } from "@preact/signals";
import { asHubError } from "../parts/errors";
import { told as reached } from "../reach";
import { add, addEarlier, behind, type Conversation, lacking, NOTHING, ORPHANS_MAX } from "./conversation";
import { gathered } from "./gathered";
import { dropped, type Outbox, posted, seen, told } from "./outgoing";

/** Events that are there at once. */
const FIRST_EVENTS = 50;
/** Events of a page, of earlier ones for example. */
const PAGE_EVENTS = 100;
/** How long nothing new has to come before what was missed counts as read, in milliseconds. */
const SETTLED_MS = 400;

/** Why nothing more comes. */
export type Over = "closed" | "deleted" | "forbidden" | "replaced" | HubError;

export interface Chat {
  readonly thread: string;
  readonly conversation: Signal<Conversation>;
  readonly box: Signal<Outbox>;
  readonly state: Signal<{ now: Subscription["state"]; error?: HubError }>;
  /** What was missed has been read: from here on it is news. */
  readonly settled: Signal<boolean>;
  readonly over: Signal<Over | undefined>;
  /** Starts to read; what it gives ends it. */
  start(): () => void;
  earlier(): Promise<void>;
  post(text: string): void;
  again(key: string): void;
  /** Takes a refused message out; its text. */
  takeBack(key: string): string;
  stop(event: string): Promise<unknown>;
}

/** Messages on their way outlive the view, as they do in the client. */
const boxes = new WeakMap<Hub, Map<string, Signal<Outbox>>>();

function boxOf(hub: Hub, thread: string): Signal<Outbox> {
  const known = boxes.get(hub) ?? new Map<string, Signal<Outbox>>();
  boxes.set(hub, known);
  const box = known.get(thread) ?? signal<Outbox>([]);
  known.set(thread, box);
  return box;
}

export function openChat(hub: Hub, thread: string): Chat {
  const topic = hub.topic(`thread/${thread}`);
  const chat = { conversation: signal(NOTHING), box: boxOf(hub, thread), state: signal<{ now: Subscription["state"]; error?: HubError }>({ now: "connecting" }) };
  const reading = readerOf(topic, chat);
  const send = (key: string, text: string) => {
    const fate = (of: Parameters<typeof told>[2]) => (chat.box.value = seen(told(chat.box.value, key, of), chat.conversation.value.head));
    topic.publish("chat_message", { text }, { idempotencyKey: key }).then(
      (written) => fate({ written }),
      (error) => fate({ error: asHubError(error) }),
    );
  };
  return {
    thread,
    ...chat,
    ...reading,
    post(text) {
      const key = randomKey();
      chat.box.value = posted(chat.box.value, { key, text, after: chat.conversation.value.head });
      send(key, text);
    },
    again(key) {
      const one = chat.box.value.find((other) => other.key === key);
      if (!one) return;
      chat.box.value = told(chat.box.value, key, {});
      send(key, one.text);
    },
    takeBack(key) {
      const text = chat.box.value.find((one) => one.key === key)?.text ?? "";
      chat.box.value = dropped(chat.box.value, key);
      return text;
    },
    stop: (event) => topic.stop(event),
  };
}

/** What reads: live, and back. A page that was asked for before a gap is of no use behind it: each gap begins an epoch. */
function readerOf(topic: Topic, { conversation, box, state }: Pick<Chat, "conversation" | "box" | "state">) {
  const { settled, ...calm } = settledOf(state);
  const over = signal<Over | undefined>();
  let epoch = 0;
  const whole = wholeOf(topic, conversation, () => epoch);
  const come = gathered((events) => {
    batch(() => {
      conversation.value = events.reduce(add, conversation.value);
      box.value = seen(box.value, conversation.value.head);
    });
    void whole();
    calm.wait();
  });
  const ended = (why: Over) => {
    come.now();
    over.value = why;
  };
  return {
    settled,
    over,
    async earlier() {
      const { earlier, whole } = conversation.value;
      const asked = epoch;
      if (earlier === undefined || whole) return;
      const page = await topic.page({ before: earlier, limit: PAGE_EVENTS, fold: true });
      if (asked === epoch) conversation.value = addEarlier(conversation.value, page);
    },
    start() {
      const subscription = topic.subscribe(
        { last: FIRST_EVENTS, fold: true },
        {
          event: come.add,
          gap(gap) {
            come.now();
            epoch++;
            conversation.value = behind(conversation.value, gap);
            // Of a thread that is not there any more nothing will be seen.
            if (gap.reason !== "trimmed") box.value = box.value.filter(({ written }) => !written);
          },
          closed: () => ended("closed"),
          deleted: () => ended("deleted"),
          forbidden: () => ended("forbidden"),
          replaced: () => ended("replaced"),
          error: ended,
          state(now, how) {
            reached(now, how);
            state.value = { now, error: how.error };
            calm.wait();
          },
        },
      );
      return () => {
        calm.drop();
        come.drop();
        subscription.close();
      };
    },
  };
}

/** Whether what was missed has been read: it is live, and nothing came for a while. Whatever comes before puts it off. */
function settledOf(state: Chat["state"]): { settled: Signal<boolean>; wait(): void; drop(): void } {
  const settled = signal(false);
  let quiet: ReturnType<typeof setTimeout> | undefined;
  return {
    settled,
    wait() {
      const live = state.value.now === "live";
      if (!live) settled.value = false;
      if (settled.value) return;
      clearTimeout(quiet);
      if (live) quiet = setTimeout(() => (settled.value = true), SETTLED_MS);
    },
    drop: () => clearTimeout(quiet),
  };
}

/**
 * Text came for an event that was not read: the newest page has it, with all of its text. One question at a time, and one for
 * each event: one that is not kept any more can't be had.
 */
function wholeOf(topic: Topic, conversation: Signal<Conversation>, epoch: () => number): () => Promise<void> {
  let asking = false;
  const had = new Set<string>();
  return async () => {
    const missing = lacking(conversation.value).filter((id) => !had.has(id));
    if (asking || missing.length === 0) return;
    asking = true;
    const asked = epoch();
    try {
      const { events } = await topic.page({ limit: PAGE_EVENTS, fold: true });
      if (asked === epoch()) conversation.value = events.reduce(add, conversation.value);
      if (had.size > ORPHANS_MAX) had.clear();
      for (const id of missing) had.add(id);
    } catch {
      // The next append asks again.
    } finally {
      asking = false;
    }
  };
}

/** 128 random bits; `crypto.randomUUID` is not there on pages without TLS. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The thread itself: its title, who may read it. */
export const about = (hub: Hub, thread: string, signal?: AbortSignal): Promise<openapi.Topic> =>
  hub.request<openapi.Topic>("GET", pathOf(thread), { signal });

export const pathOf = (thread: string): string => `/v1/threads/${encodeURIComponent(thread)}`;
