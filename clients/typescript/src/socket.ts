// One WebSocket with up to 128 topics: it says who it is, subscribes, publishes, and finds out when it is dead.
// It never comes back: who loses it asks the pool (sockets.ts) for another.
import { type Bucket, take } from "./bucket.js";
import { HubError, network, refusalOf } from "./errors.js";
import { FEED } from "./http.js";
import type { Written } from "./types.js";
import { type Ask, type Fault, gapOf, type Line, type Own, type Sink, type Wires } from "./wire.js";

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
  sink: Sink;
  /** Whether the hub has answered: what comes before is of one that was left. */
  answered?: boolean;
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
    return !this.#over && !this.#topics.has(topic) && this.#topics.size < this.#capacity;
  }

  /** Connects. */
  async open(): Promise<void> {
    const { http, openTimeoutMs } = this.wires;
    try {
      this.#token = await http.tokens.get();
    } catch (error) {
      return this.#fail(network(error), 0);
    }
    if (this.#over) return;
    this.#timer = setTimeout(() => this.#fail(network(undefined, "no welcome in time"), 2), openTimeoutMs);
    try {
      this.#ws = new this.Native(`${http.url.replace(/^http/, "ws")}/v1/ws`);
    } catch (error) {
      return this.#fail(network(error), 1);
    }
    const hello = { t: "hello", token: this.#token, tenant_id: http.tenant, env: http.env };
    this.#ws.onopen = () => this.#ws!.send(JSON.stringify(hello));
    this.#ws.onmessage = ({ data }) => this.#take(JSON.parse(data) as Own);
    this.#ws.onerror = () => {};
    this.#ws.onclose = ({ code }) => this.#closed(code);
  }

  /** A topic more. */
  add(ask: Ask, sink: Sink): Line {
    const entry: Subscribed = { ask, sink, ref: `s${++this.#refs}` };
    this.#topics.set(ask.topic, entry);
    if (this.#ready) this.#subscribe(entry);
    return { close: () => this.#leave(entry), check: () => this.check() };
  }

  /** Publishes: a frame without `ref`, and its answer. */
  write(frame: string): Promise<Written> {
    const ref = `w${++this.#refs}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(network(undefined, "no answer in time"), 2), this.wires.http.timeoutMs);
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
      if (this.#heardAt < asked) this.#fail(network(undefined, "nothing was heard for too long"), 2);
    }, this.wires.checkMs);
  }

  /** Ends it; nobody is told. */
  close(): void {
    this.#topics.clear();
    this.#fail(new HubError({ code: "client.closed" }), 0);
  }

  #take(frame: Own): void {
    if (this.#over) return;
    this.#heardAt = Date.now();
    const entry = this.#topics.get(frame.topic);
    if (frame.t === "subscribed" && entry?.ref === frame.ref) entry!.answered = true;
    const sink = entry?.answered ? entry.sink : undefined;
    switch (frame.t) {
      case "welcome":
        return this.#welcome(frame);
      case "subscribed":
        return sink?.opened(frame.cursor);
      case "event":
        return sink?.event(frame.event);
      case "progress":
        return sink?.reached(frame.cursor);
      case "gap":
        // In the feed what follows is behind where they were.
        return sink?.gap(gapOf(frame), frame.topic === FEED && frame.reason === "trimmed" ? frame.requested : "earliest");
      case "published":
        return this.#answer(frame.ref, (asked) => asked.resolve({ id: frame.id, seq: frame.seq }));
      case "subscription_ended":
        if (!sink) return;
        this.#topics.delete(frame.topic);
        sink.ended(frame.reason);
        return this.#linger();
      case "error":
        return this.#error(frame);
      case "token_expiring":
        return void this.#renew();
      case "replaced":
        return this.#replaced();
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

  #subscribe({ ref, ask }: Subscribed): void {
    this.#send(JSON.stringify({ t: "subscribe", ref, ...ask }));
  }

  /** The hub does one thing after the other, so that a topic may be asked for again at once. */
  #leave(entry: Subscribed): void {
    const { topic } = entry.ask;
    if (this.#topics.get(topic) !== entry) return;
    this.#topics.delete(topic);
    if (this.#ready) this.#unsubscribe(topic);
    this.#linger();
  }

  #unsubscribe(topic: string): void {
    this.#send(JSON.stringify({ t: "unsubscribe", topic, ref: `u${topic}` }));
  }

  #replaced(): void {
    for (const { sink } of [...this.#topics.values()]) sink.ended("replaced");
  }

  /** Closes it a little later if nobody uses it then. */
  #linger(): void {
    const used = () => this.#topics.size + this.#asked.size > 0;
    if (used() || this.#over) return;
    setTimeout(() => {
      if (!used()) this.#fail(new HubError({ code: "client.closed" }), 0);
    }, LINGER_MS);
  }

  #error(frame: Own): void {
    // Refusals of a session have the id of its upgrade.
    const error = refusalOf({ request_id: this.#requestId, ...frame }, 0, "client.network");
    const ref = String(frame.ref ?? "");
    if (this.#asked.has(ref)) return this.#answer(ref, (asked) => asked.reject(error));
    if (ref === "") this.#refused = error;
    const later = (what: () => void) => setTimeout(() => this.ready && what(), error.retryAfterMs ?? 1_000);
    // One that was left and could not be told so: else what is there now is refused as a second one.
    if (ref[0] === "u" && error.code === "session.rate") later(() => this.#topics.has(ref.slice(1)) || this.#unsubscribe(ref.slice(1)));
    const entry = [...this.#topics.values()].find((one) => one.ref === ref);
    if (!entry) return;
    const { sink, ask } = entry;
    if (error.code === "session.rate" || error.code === "session.subscribed") {
      return void later(() => {
        if (this.#topics.get(ask.topic) !== entry) return;
        // One that was left before is there still.
        if (error.code === "session.subscribed") this.#unsubscribe(ask.topic);
        this.#subscribe(entry);
      });
    }
    this.#topics.delete(ask.topic);
    // A hub may allow fewer topics: the next socket has room.
    if (error.code === "session.topics") this.#capacity = this.#topics.size;
    sink.lost(error, 0, error.retryAfterMs, this.#token);
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
    if (code === 4409) this.#replaced();
    this.#fail(error, error.status > 0 || this.#ready ? 0 : 1);
  }

  #fail(error: HubError, fault: Fault): void {
    if (this.#over) return;
    this.#ended.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#sending);
    clearInterval(this.#beat);
    if (this.#ws) {
      this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null;
      // Who is silent answers no close frame.
      if (fault === 2 && this.#ws.terminate) this.#ws.terminate();
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
    for (const { sink } of told) sink.lost(error, fault, floorMs, this.#token);
  }
}
