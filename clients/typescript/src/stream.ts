// One topic, or the feed, over SSE by `fetch`, with the token in a header; and what blocks say, whatever carries them.
// It never comes back by itself, and believes a stream only when `connected` has come: a proxy that buffers is none.
import { Connection } from "./connection.js";
import { errorOf, network, refusalOf } from "./errors.js";
import { eventsOf, query } from "./http.js";
import type { Event } from "./openapi.js";
import { type Block, SseParser } from "./sse.js";
import { gapOf, type Own } from "./wire.js";

/** Nothing heard for so many heartbeats: it is dead. */
const HEARTBEATS_MISSED = 2.5;

/** A connection that carries blocks. */
export abstract class Blocks extends Connection {
  protected heartbeatMs = 10_000;

  /** Tells the sink what a block says. */
  protected take({ id, data, retry }: Block): void {
    if (this.signal.aborted) return;
    this.floorMs = retry ?? this.floorMs;
    const { sink } = this;
    // An id alone is a place of the feed: nothing that this reader sees led there.
    if (data === undefined) return id && this.opened ? sink.reached(id) : undefined;
    const said = JSON.parse(data) as Own;
    switch (said.t) {
      case undefined:
        return sink.event(said as unknown as Event);
      case "connected":
        this.opened = true;
        this.heartbeatMs = (said.heartbeat_seconds || 10) * 1000;
        return sink.opened(said.cursor);
      case "gap":
        return sink.gap(gapOf(said), id ?? "earliest");
      case "subscription_ended":
      case "replaced":
        if (this.end()) sink.ended(said.reason ?? said.t);
        return;
      case "token_expiring":
        return sink.expiring(this.token);
      case "reconnect":
        this.floorMs = said.retry_after_ms;
        return;
      case "refused":
        return this.lose(refusalOf(said, 503, "client.network"), 0);
    }
  }
}

/** The stream. */
export class Stream extends Blocks {
  #heardAt = Date.now();

  protected async run(): Promise<void> {
    const { http } = this.wires;
    const token = (this.token = await http.tokens.get());
    if (this.signal.aborted) return;
    this.awaitOpen();
    const { topic, ...from } = this.ask;
    const response = await http.fetch(http.url + eventsOf(topic) + query({ ...from, named: "false" }), {
      headers: { ...http.headers(token), accept: "text/event-stream" },
      signal: this.signal,
      cache: "no-store",
    });
    const { ok, status, body } = response;
    if (status === 204) {
      if (this.end()) this.sink.ended("closed");
    } else if (ok && body && response.headers.get("content-type")?.startsWith("text/event-stream")) {
      await this.#read(body);
      this.lose(network(undefined, "the stream ended"), this.opened ? 0 : 1);
    } else {
      const error = ok ? network(undefined, "the answer is no stream") : await errorOf(response);
      // What the hub refuses is a problem document; anything else is of something between.
      this.lose(error, ok || (error.code.startsWith("http.") && status < 500) ? 1 : 0);
    }
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.signal.aborted) return;
      this.#heardAt = Date.now();
      const before = this.opened;
      for (const block of parser.take(decoder.decode(value, { stream: true }))) this.take(block);
      if (!before && this.opened) this.check();
    }
  }

  /** Whether it was heard lately; and looks again. */
  check(): void {
    if (!this.opened) return;
    if (Date.now() - this.#heardAt >= this.heartbeatMs * HEARTBEATS_MISSED) return this.lose(network(undefined, "nothing was heard for too long"), 2);
    this.later(this.heartbeatMs / 2, () => this.check());
  }
}
