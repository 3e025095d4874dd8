// One WebSocket with up to 128 topics: it says who it is, subscribes, publishes, and finds out when it is dead.
// It never comes back: who loses it asks the pool (sockets.ts) for another.
import { type Bucket, take } from "./bucket.js";
import { HubError, network, refusalOf } from "./errors.js";
import { FEED } from "./http.js";
import type { Written } from "./types.js";
import { type Ask, type Line, gapOf, type Loss, type Own, type Sink, type Wires } from "./wire.js";

/** What a WebSocket must have. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
  /** Of `ws`: ends it without waiting for the other side. */
  terminate?(): void;
}

/** Makes one: `globalThis.WebSocket`, or one like it. */
export type WebSocketClass = new (url: string) => WebSocketLike;

/** Topics of one session, as the hub has it by default. */
export const TOPICS_MAX = 128;
/** Frames a second; the hub allows 50 by default. */
const FRAMES_PER_SECOND = 40;
/** A socket that nobody uses lives so much longer, in milliseconds. */
const LINGER_MS = 1_000;

interface Subscribed {
  ask: Ask;
  ref: string;
  /** Nobody, where it was left and the hub has not said so yet. */
  sink?: Sink;
  /** The one before, which was left: this is subscribed to when the hub has said so. */
  behind?: string;
}

interface Asked {
  resolve(written: Written): void;
  reject(error: HubError): void;
  timer: ReturnType<typeof setTimeout>;
}

/** One connection. */
export class Socket {
  #ws?: WebSocketLike;
  #token?: string;
  #ready = false;
  readonly #ended = new AbortController();
  #topics = new Map<string, Subscribed>();
  #asked = new Map<string, Asked>();
  #refs = 0;
  #bucket: Bucket = { left: FRAMES_PER_SECOND, at: 0 };
  #frames: string[] = [];
  #sending?: ReturnType<typeof setTimeout>;
  #timer?: ReturnType<typeof setTimeout>;
  #beat?: ReturnType<typeof setInterval>;
  #heardAt = 0;
  #requestId?: string;
  #refused?: HubError;
  #floorMs?: number;
  #capacity = TOPICS_MAX;

  /** `gone` is called once, when it can't be used any more. */
  constructor(
    readonly wires: Wires,
    readonly Native: WebSocketClass,
    readonly gone: () => void,
  ) {}

  get #over(): boolean {
    return this.#ended.signal.aborted;
  }

  /** Whether requests can be sent now. */
  get ready(): boolean {
    return this.#ready && !this.#over;
  }

  /** Whether a topic has room here. */
  takes(topic: string): boolean {
    const known = this.#topics.get(topic);
    return !this.#over && (known ? known.sink === undefined : this.#topics.size < this.#capacity);
  }

  /** Connects. */
  async open(): Promise<void> {
    const { http, openTimeoutMs } = this.wires;
    try {
      this.#token = await http.tokens.get();
    } catch (error) {
      return this.#fail(network(error), "refused");
    }
    if (this.#over) return;
    this.#timer = setTimeout(() => this.#fail(network(undefined, "no welcome in time"), "silent"), openTimeoutMs);
    try {
      this.#ws = new this.Native(`${http.url.replace(/^http/, "ws")}/v1/ws`);
    } catch (error) {
      return this.#fail(network(error), "unopened");
    }
    const hello = { t: "hello", token: this.#token, tenant_id: http.tenant, env: http.env };
    this.#ws.onopen = () => this.#ws!.send(JSON.stringify(hello));
    this.#ws.onmessage = ({ data }) => this.#take(JSON.parse(data) as Own);
    this.#ws.onerror = () => {};
    this.#ws.onclose = ({ code }) => this.#closed(code);
  }

  /** A topic more. */
  add(ask: Ask, sink: Sink): Line {
    const left = this.#topics.get(ask.topic);
    const entry: Subscribed = { ask, sink, ref: `s${++this.#refs}`, behind: left?.behind ?? left?.ref };
    this.#topics.set(ask.topic, entry);
    if (this.#ready && !left) this.#subscribe(entry);
    return { close: () => this.#leave(entry), check: () => this.check() };
  }

  /** Publishes: a frame without `ref`, and its answer. */
  write(frame: string): Promise<Written> {
    const ref = `w${++this.#refs}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(network(undefined, "no answer in time"), "silent"), this.wires.http.timeoutMs);
      this.#asked.set(ref, { resolve, reject, timer });
      this.#send(`{"ref":"${ref}",${frame.slice(1)}`);
    });
  }

  /** Asks for a sign of life; without one in time it is dead. */
  check(): void {
    // One question at a time: another must not put off the answer.
    if (!this.ready || this.#timer !== undefined) return;
    const asked = Date.now();
    this.#ws!.send('{"t":"ping"}');
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#heardAt < asked) this.#fail(network(undefined, "nothing was heard for too long"), "silent");
    }, this.wires.checkMs);
  }

  /** Ends it; nobody is told. */
  close(): void {
    this.#topics.clear();
    this.#fail(new HubError({ code: "client.closed" }), "cut");
  }

  #take(frame: Own): void {
    if (this.#over) return;
    this.#heardAt = Date.now();
    const entry = this.#topics.get(frame.topic);
    switch (frame.t) {
      case "welcome":
        return this.#welcome(frame);
      case "subscribed":
        if (entry?.ref === frame.ref) entry?.sink?.opened(frame.cursor);
        return;
      case "event":
        return entry?.sink?.event(frame.event);
      case "progress":
        return entry?.sink?.reached(frame.cursor);
      case "gap":
        // In the feed what follows is behind where they were.
        return entry?.sink?.gap(gapOf(frame), frame.topic === FEED && frame.reason === "trimmed" ? frame.requested : "earliest");
      case "published":
        return this.#answer(frame.ref, (asked) => asked.resolve({ id: frame.id, seq: frame.seq }));
      case "unsubscribed":
      case "subscription_ended":
        return this.#dropped(frame.topic, frame.reason);
      case "error":
        return this.#error(frame);
      case "token_expiring":
        return void this.#renew();
      case "replaced":
        for (const { sink } of [...this.#topics.values()]) sink?.ended("replaced");
        return;
      case "reconnect":
        this.#floorMs = frame.retry_after_ms;
        return;
    }
  }

  #welcome({ heartbeat_seconds, request_id }: Own): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#requestId = request_id;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#beat = setInterval(() => this.check(), (heartbeat_seconds || 25) * 1000);
    for (const entry of this.#topics.values()) this.#subscribe(entry);
  }

  #subscribe(entry: Subscribed): void {
    const { ref, ask } = entry;
    entry.behind = undefined;
    this.#send(JSON.stringify({ t: "subscribe", ref, ...ask }));
  }

  /** The hub has forgotten a topic: who waits for that subscribes now, who read it is told why. */
  #dropped(topic: string, reason: "closed" | "deleted" | "forbidden" | undefined): void {
    const entry = this.#topics.get(topic);
    if (!entry) return;
    if (entry.sink && entry.behind) return this.#subscribe(entry);
    // An answer that is late: it was subscribed to anew.
    if (entry.sink && !reason) return;
    this.#topics.delete(topic);
    if (reason) entry.sink?.ended(reason);
    this.#linger();
  }

  #leave(entry: Subscribed): void {
    if (entry.sink === undefined || this.#topics.get(entry.ask.topic) !== entry) return;
    entry.sink = undefined;
    // Behind another that was left nothing was sent for this one.
    if (this.#ready && !entry.behind) this.#unsubscribe(entry.ask.topic, entry.ref);
    else if (!this.#ready) this.#topics.delete(entry.ask.topic);
    this.#linger();
  }

  #unsubscribe(topic: string, ref: string): void {
    this.#send(JSON.stringify({ t: "unsubscribe", topic, ref: `u${ref}` }));
  }

  /** Closes it a little later if nobody uses it then. */
  #linger(): void {
    if ([...this.#topics.values()].some(({ sink }) => sink) || this.#over) return;
    setTimeout(() => {
      const used = [...this.#topics.values()].some(({ sink }) => sink) || this.#asked.size > 0;
      if (!used) this.#fail(new HubError({ code: "client.closed" }), "cut");
    }, LINGER_MS);
  }

  #error(frame: Own): void {
    // Refusals of a session have the id of its upgrade.
    const error = refusalOf({ request_id: this.#requestId, ...frame }, 0, "client.network");
    const ref = String(frame.ref ?? "");
    if (this.#asked.has(ref)) return this.#answer(ref, (asked) => asked.reject(error));
    if (ref === "") this.#refused = error;
    for (const entry of this.#topics.values()) {
      if (`u${entry.behind ?? entry.ref}` === ref) return this.#notLeft(entry, error);
      if (entry.ref === ref && entry.sink) return this.#notSubscribed(entry, entry.sink, error);
    }
  }

  /** An `unsubscribe` was refused: sent too soon, or nothing was subscribed to any more. */
  #notLeft(entry: Subscribed, error: HubError): void {
    const ref = entry.behind ?? entry.ref;
    if (error.code !== "session.rate") return this.#dropped(entry.ask.topic, undefined);
    setTimeout(() => this.ready && this.#unsubscribe(entry.ask.topic, ref), error.retryAfterMs ?? 1_000);
  }

  #notSubscribed(entry: Subscribed, sink: Sink, error: HubError): void {
    const { topic } = entry.ask;
    if (error.code === "session.rate") {
      const again = () => this.ready && this.#topics.get(topic) === entry && entry.sink && this.#subscribe(entry);
      setTimeout(again, error.retryAfterMs ?? 1_000);
      return;
    }
    this.#topics.delete(topic);
    // A hub may allow fewer topics: the next socket has room.
    if (error.code === "session.topics") this.#capacity = this.#topics.size;
    sink.lost(error, "refused", error.retryAfterMs, this.#token);
    this.#linger();
  }

  async #renew(): Promise<void> {
    const next = await this.wires.http.tokens.renewed(this.#token, this.#ended.signal);
    // Without one the session ends with its token, and is opened again.
    if (!next || !this.ready) return;
    this.#token = next;
    this.#send(JSON.stringify({ t: "auth", ref: "auth", token: next }));
  }

  #answer(ref: string, how: (asked: Asked) => void): void {
    const asked = this.#asked.get(ref);
    if (!asked) return;
    this.#asked.delete(ref);
    clearTimeout(asked.timer);
    how(asked);
    this.#linger();
  }

  #send(frame: string): void {
    this.#frames.push(frame);
    this.#flush();
  }

  /** Sends what may be sent now, and the rest when it may. */
  #flush(): void {
    if (this.#sending !== undefined) return;
    while (this.#frames.length > 0 && this.ready) {
      const { bucket, waitMs } = take(this.#bucket, Date.now(), FRAMES_PER_SECOND);
      this.#bucket = bucket;
      if (waitMs > 0) {
        this.#sending = setTimeout(() => {
          this.#sending = undefined;
          this.#flush();
        }, waitMs);
        return;
      }
      this.#ws!.send(this.#frames.shift()!);
    }
  }

  #closed(code: number): void {
    // A code of the hub is 4000 and the status that a request would have had.
    const said = code >= 4400 ? new HubError({ code: `close.${code}`, status: code - 4000 }) : undefined;
    const error = this.#refused ?? said ?? network(undefined, `the socket was closed (${code})`);
    if (code === 4409) for (const { sink } of [...this.#topics.values()]) sink?.ended("replaced");
    this.#fail(error, error.status > 0 ? "refused" : this.#ready ? "cut" : "unopened");
  }

  #fail(error: HubError, how: Loss): void {
    if (this.#over) return;
    this.#ended.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#sending);
    clearInterval(this.#beat);
    if (this.#ws) {
      this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null;
      // Who is silent answers no close frame.
      if (how === "silent" && this.#ws.terminate) this.#ws.terminate();
      else this.#ws.close();
    }
    const floorMs = Math.max(error.retryAfterMs ?? 0, this.#floorMs ?? 0);
    this.gone();
    for (const asked of this.#asked.values()) {
      clearTimeout(asked.timer);
      asked.reject(network(undefined, "the socket broke before the answer"));
    }
    const told = [...this.#topics.values()];
    this.#topics.clear();
    for (const { sink } of told) sink?.lost(error, how, floorMs, this.#token);
  }
}
