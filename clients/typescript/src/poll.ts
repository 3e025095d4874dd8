// One topic, or the feed, by pages that wait: what works wherever HTTP does.
// It never asks faster than the hub answers, and comes back by itself only behind a good answer, or one that tells a gap.
import { sleep } from "./backoff.js";
import { Connection } from "./connection.js";
import { HubError, network } from "./errors.js";
import { eventsOf, FEED, pathOf, query } from "./http.js";
import type { EventPage, Topic } from "./openapi.js";
import { gapOf } from "./wire.js";

/** A page waits so long, in seconds: below what proxies cut. */
const WAIT_SECONDS = 25;
/** It is answered by then, in milliseconds; else the network is dead, as behind a sleep. */
const ANSWERED_MS = (WAIT_SECONDS + 5) * 1_000;
/** An empty page that comes sooner than this says that it is no use to wait, in milliseconds. */
const EARLY_MS = 1_000;

/** The pages. */
export class Poll extends Connection {
  #askedAt = Date.now();

  check(): void {
    if (Date.now() - this.#askedAt > ANSWERED_MS) this.lose(network(undefined, "no answer in time"), 0);
  }

  protected async run(): Promise<void> {
    const { signal, ask, sink } = this;
    const { http } = this.wires;
    const { topic, fold, types, topics } = ask;
    let from: { after?: string; last?: number } = ask.after === undefined ? { last: ask.last ?? 0 } : { after: ask.after };
    // The first does not wait, so that who reads knows that it works.
    for (let opened = false, wait: number | undefined; !signal.aborted; ) {
      this.#askedAt = Date.now();
      const path = eventsOf(topic) + query({ ...from, fold, types, topics, limit: from.last === undefined ? 500 : undefined, wait });
      const came = await http.request<EventPage>("GET", path, { signal, timeoutMs: http.timeoutMs + (wait ?? 0) * 1_000 }).catch((error) => {
        if (from.after && error.code === "cursor.gone") return error as HubError;
        throw error;
      });
      if (signal.aborted) return;
      if (came instanceof HubError) {
        const after = came.cursor!; // everything that is kept follows it
        sink.gap(gapOf({ ...came, requested: from.after }), after);
        from = { after };
        continue;
      }
      if (!opened) sink.opened();
      for (const event of came.events) {
        sink.event(event);
        if (signal.aborted) return;
      }
      sink.reached(came.cursor);
      // An empty page at once, although it should have waited: the topic is closed, or the hub can't wait now.
      if (opened && !came.events.length && !came.has_more && Date.now() - this.#askedAt < EARLY_MS) {
        const shown = topic === FEED ? undefined : await http.request<Topic>("GET", pathOf(topic), { signal });
        if (signal.aborted) return;
        if (shown?.closed && shown.cursor === came.cursor) return this.end() ? sink.ended("closed") : undefined;
        await sleep(EARLY_MS, signal);
      }
      from = { after: came.cursor };
      opened = true;
      wait = WAIT_SECONDS;
    }
  }
}
