// One topic over SSE by `fetch`, with the token in a header.
// It never comes back by itself, and believes a stream only when `connected` has come: a proxy that buffers is none.
import { errorOf, HubError, network, refusalOf } from "./errors.js";
import { eventsOf, query } from "./http.js";
import type { Event } from "./openapi.js";
import { type Block, SseParser } from "./sse.js";
import { type Ask, type Line, gapOf, type Loss, type Own, type Sink, type Wires } from "./wire.js";

/** Nothing heard for so many heartbeats: it is dead. */
const HEARTBEATS_MISSED = 2.5;

/** What is read from blocks, by whatever carries them. */
export class Blocks {
  opened = false;
  over = false;
  /** What the hub asked to wait, in milliseconds. */
  floorMs?: number;
  heartbeatMs = 10_000;

  /** What the stream was opened with. */
  token?: string;

  constructor(readonly sink: Sink) {}

  /** Tells the sink what a block says. */
  take({ id, data, retry }: Block): void {
    if (this.over) return;
    this.floorMs = retry ?? this.floorMs;
    // An id alone is a place of the feed: nothing that this reader sees led there.
    if (data === undefined) return id && this.opened ? this.sink.reached(id) : undefined;
    const said = JSON.parse(data) as Own | (Event & { t?: undefined });
    if (said.t === undefined) this.sink.event(said);
    else this.#own(said, id);
  }

  #own(said: Own, id: string | undefined): void {
    switch (said.t) {
      case "connected":
        this.opened = true;
        this.heartbeatMs = (said.heartbeat_seconds || 10) * 1000;
        return this.sink.opened(said.cursor);
      case "gap":
        return this.sink.gap(gapOf(said), id ?? "earliest");
      case "subscription_ended":
        this.over = true;
        return this.sink.ended(said.reason);
      case "replaced":
        this.over = true;
        return this.sink.ended("replaced");
      case "token_expiring":
        return this.sink.expiring(this.token);
      case "reconnect":
        this.floorMs = said.retry_after_ms;
        return;
      case "refused":
        this.over = true;
        return this.sink.lost(refusalOf(said, 503, "client.network"), "refused", this.floorMs);
    }
  }
}

/** Opens it. */
export function openStream(wires: Wires, ask: Ask, sink: Sink): Line {
  const stream = new Stream(wires, sink);
  void stream.run(ask);
  return stream;
}

class Stream implements Line {
  readonly #abort = new AbortController();
  readonly #blocks: Blocks;
  #heardAt = Date.now();
  #timer?: ReturnType<typeof setTimeout>;

  constructor(
    readonly wires: Wires,
    readonly sink: Sink,
  ) {
    this.#blocks = new Blocks(sink);
  }

  async run(ask: Ask): Promise<void> {
    const { http, openTimeoutMs } = this.wires;
    try {
      const token = (this.#blocks.token = await http.tokens.get());
      if (this.#abort.signal.aborted) return;
      this.#timer = setTimeout(() => this.#lose(network(undefined, "no stream in time"), "silent"), openTimeoutMs);
      const { topic, ...from } = ask;
      const response = await http.fetch(http.url + eventsOf(topic) + query({ ...from, named: "false" }), {
        headers: { ...http.headers(token), accept: "text/event-stream" },
        signal: this.#abort.signal,
        cache: "no-store",
      });
      if (await this.#isStream(response)) await this.#read(response.body!);
    } catch (error) {
      if (error instanceof HubError) this.#lose(error, "refused");
      else this.#lose(network(error), this.#blocks.opened ? "cut" : "unopened");
    }
  }

  async #isStream(response: Response): Promise<boolean> {
    if (response.status === 204) {
      if (!this.#end()) this.sink.ended("closed");
      return false;
    }
    const kind = response.headers.get("content-type") ?? "";
    if (response.ok && response.body && kind.startsWith("text/event-stream")) return true;
    const error = response.ok ? network(undefined, `an answer of ${kind} is no stream`) : await errorOf(response);
    // What the hub refuses is a problem document; anything else is of something between.
    this.#lose(error, response.ok || (error.code.startsWith("http.") && error.status < 500) ? "unopened" : "refused");
    return false;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (this.#abort.signal.aborted) return;
      if (done) break;
      this.#heardAt = Date.now();
      const before = this.#blocks.opened;
      for (const block of parser.take(decoder.decode(value, { stream: true }))) {
        this.#blocks.take(block);
        if (this.#abort.signal.aborted) return;
      }
      if (!before && this.#blocks.opened) this.#watch();
    }
    if (this.#blocks.over) this.#end();
    else this.#lose(network(undefined, "the stream ended"), this.#blocks.opened ? "cut" : "unopened");
  }

  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.check();
      if (!this.#abort.signal.aborted) this.#watch();
    }, this.#blocks.heartbeatMs / 2);
  }

  check(): void {
    if (!this.#blocks.opened || Date.now() - this.#heardAt < this.#blocks.heartbeatMs * HEARTBEATS_MISSED) return;
    this.#lose(network(undefined, "nothing was heard for too long"), "silent");
  }

  #lose(error: HubError, how: Loss): void {
    if (this.#end()) return;
    this.sink.lost(error, how, error.retryAfterMs ?? this.#blocks.floorMs, this.#blocks.token);
  }

  /** Whether it had ended already. */
  #end(): boolean {
    const was = this.#abort.signal.aborted;
    clearTimeout(this.#timer);
    this.#abort.abort();
    return was;
  }

  close(): void {
    this.#end();
  }
}
