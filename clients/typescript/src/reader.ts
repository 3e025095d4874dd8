// One subscription through all of its connections: where it stands, what it gives on, when it comes back and how.
// What it gives on is in order, once, and without a hole: whatever a transport does.
import { HubError, network, verdict } from "./errors.js";
import { eventsOf, FEED, query } from "./http.js";
import type { Transport } from "./ladder.js";
import type { Event, EventPage } from "./openapi.js";
import { at, behind, behindGap, judge, type Position, seqOf } from "./position.js";
import type { Switchboard } from "./switchboard.js";
import type { Gap, Item, State, TopicEvent } from "./types.js";
import type { Ask, End, Line, Loss, Sink } from "./wire.js";

/** Who is given what comes. */
export interface Out {
  /** `cursor` is the place behind it. */
  item(item: Item, cursor: string): void;
  /** The place changed without an item. */
  place(cursor: string): void;
  state(state: State, how: { transport?: Transport; error?: HubError }): void;
  /** Nothing more comes; with why, where it was refused for good or aborted. */
  done(error?: unknown): void;
}

interface Link {
  transport: Transport;
  line?: Line;
  openedAt?: number;
}

/** The reader. */
export class Reader {
  readonly #abort = new AbortController();
  #position: Position;
  #link?: Link;
  /** One that takes over from `#link` when it opens: a better transport, or the same with a new token. */
  #spare?: Link;
  #betterTimer?: ReturnType<typeof setTimeout>;
  #wasOpen = false;
  #tokenRefused = false;
  #paused = false;
  /** Up to this seq the log is read, because something was missing. */
  #wanted = 0;
  #filling = false;

  constructor(
    readonly board: Switchboard,
    readonly ask: Ask,
    readonly out: Out,
  ) {
    this.#position = at(ask.after);
  }

  /** In it places have holes, and what is closed is one of its topics. */
  get #isFeed(): boolean {
    return this.ask.topic === FEED;
  }

  /** The transport in use. */
  get transport(): Transport | undefined {
    return this.#link?.openedAt === undefined ? undefined : this.#link.transport;
  }

  /** Connects. */
  start(): void {
    const { transport } = this.board;
    if (!transport) return this.#finish(new HubError({ code: "client.unsupported", detail: "no transport is possible here" }));
    this.out.state("connecting", { transport });
    this.#link = this.#open(transport);
  }

  /** Ends it; `reason` is told where there is one. */
  close(reason?: unknown): void {
    this.#finish(reason);
  }

  /** Nothing is taken until `resume`: who reads is slower than what comes. */
  pause(): void {
    this.#paused = true;
    this.#hangUp();
  }

  /** Goes on from where it stands. */
  resume(): void {
    if (!this.#paused || this.#abort.signal.aborted) return;
    this.#paused = false;
    this.start();
  }

  /** Finds out now whether the connection lives. */
  check(): void {
    this.#link?.line?.check();
  }

  #open(transport: Transport): Link {
    const after = this.#position.cursor;
    const ask = { ...this.ask, after, last: after === undefined ? this.ask.last : undefined };
    const link: Link = { transport };
    link.line = this.board.open(transport, ask, this.#sink(link));
    return link;
  }

  #sink(link: Link): Sink {
    const told = (how: () => void) => {
      if ((link === this.#link || link === this.#spare) && !this.#abort.signal.aborted) how();
    };
    return {
      opened: (cursor) => told(() => this.#opened(link, cursor)),
      event: (event) => told(() => this.#take(event)),
      gap: (gap, cursor) => told(() => this.#gap(gap, cursor)),
      reached: (cursor) => told(() => this.#reached(cursor)),
      ended: (why) => told(() => this.#ended(why)),
      expiring: (token) => told(() => void this.#renew(link, token)),
      lost: (error, how, floorMs, token) => told(() => this.#lost(link, error, how, floorMs ?? 0, token)),
    };
  }

  #opened(link: Link, cursor: string | undefined): void {
    if (link === this.#spare) {
      this.#link?.line?.close();
      this.#link = link;
      this.#spare = undefined;
    }
    link.openedAt = Date.now();
    this.#wasOpen = true;
    this.#tokenRefused = false;
    if (cursor !== undefined && this.#position.seq === undefined) this.#position = at(cursor);
    if (this.#position.cursor !== undefined) this.out.place(this.#position.cursor);
    this.board.opened(link.transport);
    this.out.state("live", { transport: link.transport });
    this.#awaitBetter();
  }

  #take(event: Event): void {
    const is = judge(this.#position, event, this.#isFeed || this.ask.fold === true);
    if (is === "hole") {
      this.#wanted = Math.max(this.#wanted, event.seq);
      void this.#fill();
    } else if (is === "next") {
      this.#position = behind(event);
      this.out.item(event as TopicEvent, this.#position.cursor!);
      if (event.type === "closed" && !this.#isFeed) this.#ended("closed");
    }
  }

  #gap(gap: Gap, cursor: string): void {
    this.#position = this.#isFeed ? at(cursor) : behindGap(gap.oldest, cursor);
    this.#wanted = 0;
    this.out.item(gap, cursor);
  }

  #reached(cursor: string): void {
    const seq = seqOf(cursor);
    if (seq !== undefined && seq < (this.#position.seq ?? 0)) return;
    this.#position = { cursor, seq };
    this.out.place(cursor);
  }

  #ended(why: End): void {
    const item: Item = why === "replaced" ? { t: "replaced" } : { t: "subscription_ended", reason: why };
    this.out.item(item, this.#position.cursor ?? "earliest");
    this.#finish(undefined);
  }

  /** Reads what is missing from the log, while the line goes on. */
  async #fill(): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    const path = eventsOf(this.ask.topic);
    const { signal } = this.#abort;
    try {
      while (!signal.aborted && (this.#position.seq ?? 0) < this.#wanted) {
        const before = this.#position.cursor!;
        const page = await this.board.means.http.request<EventPage>("GET", path + query({ after: before, limit: 500 }), { signal });
        for (const event of page.events) if (!signal.aborted) this.#take(event);
        if (this.#position.cursor === before) throw network(undefined, "the log has not what is missing");
      }
    } catch (error) {
      // From the cursor, by a connection that begins anew, it comes or is told as a gap.
      if (!signal.aborted && this.#link) this.#lost(this.#link, network(error), "cut", 0, undefined);
    } finally {
      this.#filling = false;
    }
  }

  /** The token of a stream runs out: the next stream opens with another before this one ends. */
  async #renew(link: Link, token: string | undefined): Promise<void> {
    const next = await this.board.means.http.tokens.renewed(token, this.#abort.signal);
    if (next && link === this.#link && !this.#spare) this.#spare = this.#open(link.transport);
  }

  /** Tries a better transport when it is time, beside the one in use; behind a vain try (`least`) not at once. */
  #awaitBetter(least = 0): void {
    clearTimeout(this.#betterTimer);
    const link = this.#link;
    const ms = link && this.board.betterInMs(link.transport);
    if (ms === undefined) return;
    this.#betterTimer = setTimeout(() => {
      if (link !== this.#link || this.#spare) return;
      // Meanwhile it may have been put off.
      if (this.board.betterInMs(link!.transport) !== 0) return this.#awaitBetter();
      this.#spare = this.#open(this.board.better(link!.transport));
    }, Math.min(Math.max(ms, least), 0x7fff_ffff));
  }

  #lost(link: Link, error: HubError, how: Loss, floorMs: number, token: string | undefined): void {
    if (link === this.#spare) {
      this.#spare = undefined;
      this.board.inVain();
      return this.#awaitBetter(this.board.means.betterMs);
    }
    this.#hangUp();
    const { tokens } = this.board.means.http;
    const todo = verdict(error);
    if (todo === "final") return this.#refused(error);
    if (todo === "token") {
      tokens.drop(token);
      if (this.#tokenRefused || !tokens.renewable) return this.#finish(error);
      this.#tokenRefused = true;
    }
    this.out.state("waiting", { error });
    void this.#comeBack(link, how, floorMs);
  }

  /** What was read before and can't be read now is deleted, or forbidden. */
  #refused(error: HubError): void {
    if (error.code === "session.replaced" || error.code === "close.4409") return this.#ended("replaced");
    if (this.#wasOpen && error.code === "topic.unknown") return this.#ended("deleted");
    if (this.#wasOpen && error.code === "permission.denied") return this.#ended("forbidden");
    this.#finish(error);
  }

  async #comeBack(link: Link, how: Loss, floorMs: number): Promise<void> {
    const { board } = this;
    const isFault = how === "unopened" || how === "silent";
    const moved = isFault && (await board.failed(link.transport, how));
    if (!moved) {
      board.pace.fail(floorMs, link.openedAt === undefined ? 0 : Date.now() - link.openedAt);
      await board.pace.wait(this.#abort.signal);
    }
    if (!this.#abort.signal.aborted && !this.#paused && !this.#link) this.start();
  }

  #hangUp(): void {
    clearTimeout(this.#betterTimer);
    this.#link?.line?.close();
    this.#spare?.line?.close();
    this.#link = this.#spare = undefined;
  }

  #finish(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#hangUp();
    this.out.state("ended", error instanceof HubError ? { error } : {});
    this.out.done(error);
  }
}
