// One topic over a native EventSource, which sends no header: a stream token opens it, in its URL.
// The EventSource comes back by itself where it can; where it gave up it is lost, and a reader opens another.
import { HubError, network } from "./errors.js";
import { eventsOf, FEED, pathOf, query } from "./http.js";
import type { Issued, Topic } from "./openapi.js";
import { Blocks } from "./stream.js";
import type { Ask, Sink, Wires } from "./wire.js";

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

/** The stream. */
export class NativeStream extends Blocks {
  #source?: EventSourceLike;

  constructor(
    wires: Wires,
    ask: Ask,
    sink: Sink,
    readonly Native: EventSourceClass,
  ) {
    super(wires, ask, sink);
  }

  protected async run(): Promise<void> {
    const { http } = this.wires;
    const { topic, ...from } = this.ask;
    const main = await http.tokens.get();
    const body = JSON.stringify({ topics: [topic] });
    const { token } = await http.request<Issued>("POST", "/v1/stream-tokens", { body });
    this.token = main;
    if (this.signal.aborted) return;
    this.awaitOpen();
    const source = (this.#source = new this.Native(http.url + eventsOf(topic) + query({ ...from, named: "false", token })));
    this.signal.addEventListener("abort", () => source.close());
    source.onmessage = ({ data, lastEventId }) => {
      this.take({ data, id: lastEventId || undefined });
      // It beats by comments, which nobody sees here; so it is the browser that finds a dead one.
      if (this.opened) this.later();
    };
    // `connected` must come within the time whenever it comes back, too.
    source.onerror = () => !this.signal.aborted && (source.readyState === CLOSED ? this.check() : this.awaitOpen());
  }

  /** One that gave up does not tell the status: a refusal, or 204 for who has everything of a closed topic. A page says which. */
  async check(): Promise<void> {
    if (this.#source?.readyState !== CLOSED || this.signal.aborted) return;
    const { http } = this.wires;
    const { topic, ...from } = this.ask;
    const isFeed = topic === FEED;
    try {
      if (!this.opened || isFeed) await http.request("GET", eventsOf(topic) + query({ ...from, limit: from.last === undefined ? 1 : undefined })).catch(notGone);
      const shown = isFeed ? undefined : await http.request<Topic>("GET", pathOf(topic));
      if (this.opened || !shown?.closed || from.after !== shown.cursor) this.lose(network(undefined, "the EventSource gave up"), this.opened ? 0 : 1);
      else if (this.end()) this.sink.ended("closed");
    } catch (error) {
      // A request has asked for another token by itself.
      this.token = undefined;
      this.lose(error, 0);
    }
  }
}

/** A cursor that can't be honoured is no refusal of a stream: that tells a gap. */
function notGone(error: unknown): void {
  if (!(error instanceof HubError && error.code === "cursor.gone")) throw error;
}
