// Which transport carries the readers of one hub object, when to try again, and who is to be woken.
// It never looks at what comes: that is a reader's.
import { type Backoff, Pace } from "./backoff.js";
import { type EventSourceClass, openEventSource } from "./eventsource.js";
import { better, betterInMs, current, inVain, type Ladder, ladder, opened, type Transport, unopened } from "./ladder.js";
import { openPoll } from "./poll.js";
import type { WebSocketClass } from "./socket.js";
import { Sockets } from "./sockets.js";
import { openStream } from "./stream.js";
import type { CursorStorage } from "./types.js";
import type { Ask, Line, Loss, Sink, Wires } from "./wire.js";

/** What it is made of. */
export interface Means extends Wires {
  transports: readonly Transport[];
  WebSocket?: WebSocketClass;
  EventSource?: EventSourceClass;
  storage?: CursorStorage;
  backoff: Backoff;
  /** A better transport is tried again so much later, in milliseconds. */
  betterMs: number;
}

/** The switchboard. */
export class Switchboard {
  readonly pace: Pace;
  readonly sockets?: Sockets;
  #ladder: Ladder;
  #judging?: Promise<boolean>;
  readonly #key: string;

  constructor(readonly means: Means) {
    this.pace = new Pace(means.backoff);
    this.#key = `tambour:${means.http.url}:transport`;
    if (means.WebSocket) this.sockets = new Sockets(means, means.WebSocket);
    const rungs = means.transports.filter((one) => one !== "ws" || this.sockets);
    this.#ladder = ladder(rungs, remembered(means.storage, this.#key), means.betterMs, Date.now());
  }

  /** The one to use now; nothing where none is possible. */
  get transport(): Transport | undefined {
    return this.#ladder.rungs.length > 0 ? current(this.#ladder) : undefined;
  }

  /** A topic over a transport. */
  open(transport: Transport, ask: Ask, sink: Sink): Line {
    if (transport === "ws") return this.sockets!.open(ask, sink);
    if (transport === "poll") return openPoll(this.means, ask, sink);
    const { EventSource } = this.means;
    return EventSource ? openEventSource(this.means, EventSource, ask, sink) : openStream(this.means, ask, sink);
  }

  /** It works. */
  opened(transport: Transport): void {
    if (this.#ladder.worked !== transport) keep(this.means.storage, this.#key, transport);
    this.#ladder = opened(this.#ladder, transport);
  }

  /** It did not open, or fell silent. Whether another is to be used now: only if the hub answers, else nothing is its fault. */
  async failed(transport: Transport, how: Loss): Promise<boolean> {
    if (this.transport !== transport) return true;
    if (this.#ladder.rungs.length < 2) return false;
    return (this.#judging ??= this.#judge(transport, how).finally(() => (this.#judging = undefined)));
  }

  async #judge(transport: Transport, how: Loss): Promise<boolean> {
    if (!(await this.means.http.answers())) return false;
    this.#ladder = unopened(this.#ladder, transport, how === "silent" ? 2 : 1, Date.now());
    // Behind the last comes the first, and that is to be waited for.
    return this.transport !== transport && this.#ladder.at > 0;
  }

  /** In how many milliseconds a better transport is to be tried than the one in use. */
  betterInMs(transport: Transport): number | undefined {
    return betterInMs(this.#ladder, transport, Date.now());
  }

  /** Which one. */
  better(transport: Transport): Transport {
    return better(this.#ladder, transport);
  }

  /** That was in vain. */
  inVain(): void {
    this.#ladder = inVain(this.#ladder, Date.now());
  }
}

function remembered(storage: CursorStorage | undefined, key: string): Transport | undefined {
  try {
    return (storage?.getItem(key) ?? undefined) as Transport | undefined;
  } catch {
    return undefined;
  }
}

/** Writes to a storage, which may be full or forbidden. */
export function keep(storage: CursorStorage | undefined, key: string, value: string | undefined): void {
  try {
    if (value === undefined) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {
    // What is not kept is read again.
  }
}
