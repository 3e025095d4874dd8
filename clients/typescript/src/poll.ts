// One topic by pages that wait: what works wherever HTTP does.
// It never asks faster than the hub answers, and comes back by itself only behind a good answer.
import { sleep } from "./backoff.js";
import { HubError, network } from "./errors.js";
import { pathOf, query } from "./http.js";
import type { EventPage, Topic } from "./openapi.js";
import { seqOf } from "./position.js";
import type { Ask, Feed, Sink, Wires } from "./wire.js";
import type { Gap } from "./types.js";

/** A page waits so long, in seconds: below what proxies cut. */
const WAIT_SECONDS = 25;
/** It is answered by then, in milliseconds; else the network is dead, as behind a sleep. */
const ANSWERED_MS = (WAIT_SECONDS + 5) * 1_000;
/** An empty page that comes sooner than this says that it is no use to wait, in milliseconds. */
const EARLY_MS = 1_000;

/** Opens it. */
export function openPoll(wires: Wires, ask: Ask, sink: Sink): Feed {
  const abort = new AbortController();
  const asked = { at: Date.now() };
  const lose = (error: unknown) => {
    if (abort.signal.aborted) return;
    abort.abort();
    const lost = network(error, "no answer in time");
    sink.lost(lost, lost.code === "client.network" ? "cut" : "refused", lost.retryAfterMs);
  };
  void poll(wires, ask, sink, abort, asked).catch(lose);
  return { close: () => abort.abort(), check: () => Date.now() - asked.at > ANSWERED_MS && lose(undefined) };
}

async function poll({ http }: Wires, ask: Ask, sink: Sink, abort: AbortController, asked: { at: number }): Promise<void> {
  const { signal } = abort;
  const path = `${pathOf(ask.topic)}/events`;
  const page = (from: Record<string, string | number | undefined>, wait?: number) =>
    http.request<EventPage>("GET", path + query({ ...from, fold: ask.fold, limit: from.last === undefined ? 500 : undefined, wait }), {
      signal,
      timeoutMs: http.timeoutMs + (wait ?? 0) * 1000,
    });
  // The first does not wait, so that who reads knows that it works.
  let next: string | undefined = ask.after;
  let came: EventPage;
  try {
    came = await page(next === undefined ? { last: ask.last ?? 0 } : { after: next });
  } catch (error) {
    if (!(error instanceof HubError && error.code === "cursor.gone" && next !== undefined)) throw error;
    came = await page({ after: "earliest" });
    if (signal.aborted) return;
    sink.gap(gapFrom(error, next, came), "earliest");
  }
  for (let opened = false; !signal.aborted; opened = true) {
    if (!opened) sink.opened();
    for (const event of came.events) {
      sink.event(event);
      if (signal.aborted) return;
    }
    next = came.cursor;
    sink.reached(next);
    asked.at = Date.now();
    came = await page({ after: next }, WAIT_SECONDS);
    if (came.events.length === 0 && Date.now() - asked.at < EARLY_MS && (await isOver(http, ask.topic, came, signal))) {
      if (signal.aborted) return;
      abort.abort();
      return sink.ended("closed");
    }
  }
}

/** An empty page at once: the topic is closed, or the hub can't wait now and is asked again a little later. */
async function isOver(http: Wires["http"], topic: string, came: EventPage, signal: AbortSignal): Promise<boolean> {
  if (came.has_more) return false;
  const shown = await http.request<Topic>("GET", pathOf(topic), { signal });
  if (shown.closed && shown.cursor === came.cursor) return true;
  await sleep(EARLY_MS, signal);
  return false;
}

/** What a stream would have told. The reason stands in the detail alone; without it, where the cursor lies says it. */
export function gapFrom(gone: HubError, requested: string, page: { oldest: string; newest: string }): Gap {
  const said = /\((trimmed|reset|unknown)\)/.exec(gone.detail)?.[1] as Gap["reason"] | undefined;
  const isOfThisLog = requested.split(".")[0] === page.oldest.split(".")[0];
  const isTrimmed = isOfThisLog && (seqOf(requested) ?? Infinity) < (seqOf(page.oldest) ?? 0);
  return { t: "gap", reason: said ?? (isTrimmed ? "trimmed" : "unknown"), requested, oldest: page.oldest, newest: page.newest };
}
