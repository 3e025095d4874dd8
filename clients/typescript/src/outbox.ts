// What is published, through every outage: per topic in order, one at a time, each under a key, so that it is written once.
// It never gives an entry up but for a refusal that would come again.
import { type Backoff, Pace } from "./backoff.js";
import { HubError, network, verdict } from "./errors.js";
import { type Http, pathOf } from "./http.js";
import { type Entry, fix, offer, settled, type Target, without } from "./queue.js";
import type { Sockets } from "./sockets.js";
import type { Written, WriteOptions } from "./types.js";

/** A larger frame goes by HTTP, which refuses what is too large without ending a session: characters. */
const FRAME_MAX = 64 * 1024;

interface Waiter {
  resolve(written: Written): void;
  reject(error: unknown): void;
}

interface Lane {
  topic: string;
  list: readonly Entry<Waiter>[];
  pace: Pace;
  running: boolean;
  /** Of an append that nobody may have waited for. */
  refused?: unknown;
  idle: Array<() => void>;
}

/** What an entry says, by kind. */
export type Said = { kind: "publish"; type: string; data: string } | { kind: "append"; target: Target; data: string };

/** A key that nobody else has: 128 random bits. `crypto.randomUUID` is not there on pages without TLS. */
export function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The outbox of one hub object. */
export class Outbox {
  #lanes = new Map<string, Lane>();
  readonly #abort = new AbortController();

  /** `max` entries may wait, over all topics. */
  constructor(
    readonly http: Http,
    readonly sockets: Sockets | undefined,
    readonly backoff: Backoff,
    readonly max: number,
  ) {}

  /** Entries that wait. */
  get size(): number {
    let size = 0;
    for (const lane of this.#lanes.values()) size += lane.list.length;
    return size;
  }

  /** Queues a write; the answer comes when it is on disk. */
  submit(topic: string, said: Said, { idempotencyKey, expect, signal }: WriteOptions): Promise<Written> {
    return new Promise((resolve, reject) => {
      if (this.#abort.signal.aborted) throw new HubError({ code: "client.closed", detail: "the hub object was closed" });
      signal?.throwIfAborted();
      const lane = this.#lane(topic);
      const abort = () => {
        lane.list = without(lane.list, waiter, lane.running);
        reject(signal!.reason);
      };
      const over = () => signal?.removeEventListener("abort", abort);
      const waiter: Waiter = {
        resolve: (written) => (over(), resolve(written)),
        reject: (error) => (over(), reject(error)),
      };
      const fixed = idempotencyKey !== undefined || expect !== undefined;
      const entry: Entry<Waiter> = { ...said, key: idempotencyKey ?? randomKey(), expect, fixed, waiting: [waiter] };
      const list = offer(lane.list, entry, this.max - this.size);
      if (!list) throw new HubError({ code: "client.queue_full", detail: `${this.max} writes wait already` });
      signal?.addEventListener("abort", abort);
      lane.list = list;
      void this.#run(lane);
    });
  }

  /** When nothing of a topic waits; fails with what was refused to an append since the last time. */
  async flush(topic: string): Promise<void> {
    const lane = this.#lane(topic);
    if (lane.running) await new Promise<void>((resolve) => lane.idle.push(resolve));
    const { refused } = lane;
    lane.refused = undefined;
    if (refused !== undefined) throw refused;
  }

  /** The hub may be back. */
  wake(): void {
    for (const lane of this.#lanes.values()) lane.pace.wake();
  }

  /** What waits is refused: `client.closed`. */
  close(): void {
    this.#abort.abort();
    const closed = new HubError({ code: "client.closed", detail: "the hub object was closed" });
    for (const lane of this.#lanes.values()) {
      for (const { waiting } of lane.list) for (const waiter of waiting) waiter.reject(closed);
      lane.list = [];
    }
  }

  #lane(topic: string): Lane {
    const known = this.#lanes.get(topic);
    if (known) return known;
    const lane: Lane = { topic, list: [], pace: new Pace(this.backoff), running: false, idle: [] };
    this.#lanes.set(topic, lane);
    return lane;
  }

  async #run(lane: Lane): Promise<void> {
    if (lane.running) return;
    lane.running = true;
    while (lane.list.length > 0 && !this.#abort.signal.aborted) {
      lane.list = fix(lane.list);
      const entry = lane.list[0]!;
      try {
        const written = await this.#write(lane.topic, entry);
        lane.list = settled(lane.list);
        for (const waiter of entry.waiting) waiter.resolve(written);
      } catch (error) {
        if (this.#abort.signal.aborted) break;
        if (error instanceof HubError && verdict(error) === "retry") {
          lane.pace.fail(error.retryAfterMs);
          await lane.pace.wait(this.#abort.signal);
          continue;
        }
        lane.list = settled(lane.list);
        if (entry.kind === "append") lane.refused ??= error;
        for (const waiter of entry.waiting) waiter.reject(error);
      }
    }
    lane.running = false;
    for (const idle of lane.idle.splice(0)) idle();
    if (lane.list.length === 0 && lane.refused === undefined) this.#lanes.delete(lane.topic);
  }

  async #write(topic: string, entry: Entry<Waiter>): Promise<Written> {
    const conditions = JSON.stringify({ idempotency_key: entry.key, expect: entry.expect }).slice(1);
    const socket = this.sockets?.ready;
    const name = JSON.stringify(topic);
    if (entry.kind === "publish") {
      const said = `"type":${JSON.stringify(entry.type)},"data":${entry.data},${conditions}`;
      if (socket && said.length <= FRAME_MAX) return socket.write(`{"t":"publish","topic":${name},${said}`);
      return this.#post(topic, `{${said}`);
    }
    const event_id = await idOf(entry.target!);
    const text = JSON.stringify({ event_id, data: entry.data });
    if (socket?.ready && text.length <= FRAME_MAX) return socket.write(`{"t":"append","topic":${name},${text.slice(1, -1)},${conditions}`);
    return this.#post(topic, `{"append":${text},${conditions}`);
  }

  #post(topic: string, body: string): Promise<Written> {
    const path = `${pathOf(topic)}/events`;
    return this.http.request<Written>("POST", path, { body, signal: this.#abort.signal }).catch((error: unknown) => {
      throw error instanceof HubError || this.#abort.signal.aborted ? error : network(error);
    });
  }
}

async function idOf(target: Target): Promise<string> {
  const event = await target;
  return typeof event === "string" ? event : event.id;
}
