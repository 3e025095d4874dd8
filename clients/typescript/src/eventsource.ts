// One topic over a native EventSource, which sends no header: a stream token opens it, in its URL.
// The EventSource comes back by itself where it can; where it gave up it is lost, and a reader opens another.
import { HubError, network } from "./errors.js";
import { eventsOf, FEED, pathOf, query } from "./http.js";
import type { Issued, Topic } from "./openapi.js";
import { Blocks } from "./stream.js";
import type { Ask, Line, Loss, Sink, Wires } from "./wire.js";

/** What an EventSource must have. */
export interface EventSourceLike {
  readonly readyState: number;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  close(): void;
}

/** Makes one: `globalThis.EventSource`, or one like it. */
export type EventSourceClass = new (url: string) => EventSourceLike;

const CLOSED = 2;

/** Opens it. */
export function openEventSource(wires: Wires, Native: EventSourceClass, ask: Ask, sink: Sink): Line {
  const line = new NativeStream(wires, sink, ask);
  void line.run(Native);
  return line;
}

class NativeStream implements Line {
  readonly #blocks: Blocks;
  #source?: EventSourceLike;
  #timer?: ReturnType<typeof setTimeout>;
  #ended = false;

  constructor(
    readonly wires: Wires,
    readonly sink: Sink,
    readonly ask: Ask,
  ) {
    this.#blocks = new Blocks(sink);
  }

  async run(Native: EventSourceClass): Promise<void> {
    const { http } = this.wires;
    const { topic, ...from } = this.ask;
    try {
      this.#blocks.token = await http.tokens.get();
      const body = JSON.stringify({ topics: [topic] });
      const { token } = await http.request<Issued>("POST", "/v1/stream-tokens", { body });
      if (this.#ended) return;
      this.#await();
      const url = http.url + eventsOf(topic) + query({ ...from, named: "false", token });
      this.#source = new Native(url);
    } catch (error) {
      return this.#lose(network(error), "refused");
    }
    this.#source.onmessage = ({ data, lastEventId }) => {
      if (this.#ended) return;
      this.#blocks.take({ data, id: lastEventId || undefined });
      // It beats by comments, which nobody sees here; so it is the browser that finds a dead one.
      if (this.#blocks.opened) clearTimeout(this.#timer);
    };
    this.#source.onerror = () => {
      if (this.#ended || this.#blocks.over) return;
      if (this.#source!.readyState === CLOSED) void this.#gaveUp();
      else this.#await();
    };
  }

  /** `connected` must come within the time, now and whenever it comes back. */
  #await(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lose(network(undefined, "no stream in time"), "silent"), this.wires.openTimeoutMs);
  }

  /** A status that it does not tell: a refusal, or 204 for who has everything of a closed topic. A page says which. */
  async #gaveUp(): Promise<void> {
    const { http } = this.wires;
    const { topic, ...from } = this.ask;
    const opened = this.#blocks.opened;
    try {
      if (!opened || topic === FEED) await http.request("GET", eventsOf(topic) + query({ ...from, limit: from.last === undefined ? 1 : undefined })).catch(notGone);
      if (topic !== FEED) {
        const shown = await http.request<Topic>("GET", pathOf(topic));
        if (!opened && shown.closed && from.after === shown.cursor) {
          if (!this.#end()) this.sink.ended("closed");
          return;
        }
      }
      this.#lose(network(undefined, "the EventSource gave up"), opened ? "cut" : "unopened");
    } catch (error) {
      this.#lose(network(error), "refused");
    }
  }

  check(): void {
    if (this.#source?.readyState === CLOSED && !this.#ended) void this.#gaveUp();
  }

  #lose(error: HubError, how: Loss): void {
    if (!this.#end()) this.sink.lost(error, how, error.retryAfterMs);
  }

  /** Whether it had ended already. */
  #end(): boolean {
    const was = this.#ended;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#source?.close();
    return was;
  }

  close(): void {
    this.#end();
  }
}

/** A cursor that can't be honoured is no refusal of a stream: that tells a gap. */
function notGone(error: unknown): void {
  if (!(error instanceof HubError && error.code === "cursor.gone")) throw error;
}
