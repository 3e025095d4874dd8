// Follows the feed for a view: the newest page, then what happens from there on, and pages before it where they are asked for.
// It keeps the tape, comes back by itself while the hub is away, and draws nothing.
import type { FeedEvent, Gap, Hub, HubError } from "@tambour/client";
import { signal } from "@preact/signals";
import { asHubError } from "../parts/errors";
import { pauseMs } from "../parts/poll";
import { answered, told } from "../reach";
import { asked, type Filter, narrows, sameAsked } from "./filter";
import { begin, EMPTY, isFull, pause, prepend, ROWS_MAX, resume, shownOf, take, type Tape, type Wanted } from "./tape";

/** Events of a page; more where much of it may be of no interest. */
const PAGE = 200;
const PAGE_NARROWED = 500;
/** Pages that one wish for something earlier looks at; requests are rated. */
const PAGES_MAX = 5;
/** Milliseconds for which events are collected before they are drawn. */
const DRAWN_MS = 40;

export interface Followed {
  tape: Tape;
  /** What the view has of the feed is from now, or it still asks. */
  following: boolean;
  error?: HubError;
  /** Pages before it are being read. */
  looking: boolean;
  lookingError?: HubError;
  /** Why something that this view did not read yet can’t be had any more. */
  gap?: Gap["reason"];
}

export class Follower {
  readonly now = signal<Followed>({ tape: EMPTY, following: false, looking: false });
  #wanted: Wanted = () => true;
  #filter?: Filter;
  #over = new AbortController();
  #came: FeedEvent[] = [];
  #timer?: ReturnType<typeof setTimeout>;

  constructor(readonly hub: Hub) {}

  /** From now on with this filter. The hub is asked only where it has what the tape has not. */
  show(filter: Filter, wanted: Wanted): void {
    const { tape, error } = this.now.value;
    const enough = this.#filter && sameAsked(this.#filter, filter) && !tape.sparse && !error;
    this.#filter = filter;
    this.#wanted = wanted;
    if (!enough) this.again();
  }

  /** Reads anew. */
  again(): void {
    this.#draw();
    this.close();
    this.#over = new AbortController();
    this.#set({ following: false, looking: false, error: undefined, lookingError: undefined, gap: undefined });
    void this.#follow(this.#over.signal);
  }

  /** Ends. */
  close(): void {
    this.#over.abort();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#came = [];
  }

  pause(): void {
    this.#draw();
    this.#set({ tape: pause(this.now.value.tape) });
  }

  resume(): void {
    this.#draw();
    this.#set({ tape: resume(this.now.value.tape, this.#wanted) });
  }

  /** Reads pages before what is there, until one has something that is wanted. */
  async earlier(): Promise<void> {
    const { signal } = this.#over;
    const before = shownOf(this.now.value.tape, this.#wanted).length;
    await this.#look(signal, () => shownOf(this.now.value.tape, this.#wanted).length > before);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const filter = this.#filter!;
    const limit = narrows(filter) ? PAGE_NARROWED : PAGE;
    let isShort = false;
    for (;;) {
      try {
        const page = await this.hub.feed().page({ ...asked(filter), limit, signal });
        if (signal.aborted) return;
        answered();
        this.#set({ tape: begin(this.now.value.tape, page, this.#wanted), following: true, error: undefined });
        this.#subscribe(filter, page.cursor, signal);
        isShort = page.events.length < limit;
        break;
      } catch (failed) {
        if (signal.aborted) return;
        const error = asHubError(failed);
        answered(error);
        this.#set({ error });
        const pause = pauseMs(error, undefined, 0);
        if (pause === undefined) return;
        await pauseOf(pause, signal);
        if (signal.aborted) return;
      }
    }
    // What was followed may be before the newest page; and before a short one there is most often nothing.
    let looked = 0;
    await this.#look(signal, () => (!isShort || looked++ > 0) && (!narrows(this.#filter!) || this.#holds()));
  }

  /** Whether there is something to see, and no hole in it. */
  #holds(): boolean {
    const { tape } = this.now.value;
    return tape.old.length === 0 && shownOf(tape, this.#wanted).length > 0;
  }

  #subscribe(filter: Filter, after: string, signal: AbortSignal): void {
    this.hub.feed().subscribe(
      { ...asked(filter), after, signal },
      {
        event: (event) => !signal.aborted && this.#collect(event),
        gap: ({ reason }) => {
          if (signal.aborted) return;
          this.#draw();
          // A hub that was restored is another one: nothing here is its.
          if (reason !== "trimmed") this.#set({ tape: { ...EMPTY, paused: this.now.value.tape.paused } });
          this.#set({ gap: reason });
        },
        forbidden: () => !signal.aborted && this.again(),
        error: (error) => !signal.aborted && this.#set({ error, following: false }),
        // Its end is told whatever ends it.
        state: (state, how) => (state === "ended" || !signal.aborted) && told(state, how),
      },
    );
  }

  #collect(event: FeedEvent): void {
    this.#came.push(event);
    // A tab that nobody sees draws rarely.
    if (this.#came.length >= ROWS_MAX) this.#draw();
    else this.#timer ??= setTimeout(() => this.#draw(), DRAWN_MS);
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#came.length === 0) return;
    const came = this.#came;
    this.#came = [];
    this.#set({ tape: take(this.now.value.tape, came, this.#wanted) });
  }

  async #look(signal: AbortSignal, enough: () => boolean): Promise<void> {
    if (this.now.value.looking) return;
    this.#set({ looking: true, lookingError: undefined });
    try {
      for (let page = 0; page < PAGES_MAX && !enough(); page++) {
        const { tape } = this.now.value;
        if (!tape.more || tape.floor === undefined || isFull(tape, this.#wanted)) break;
        const filter = this.#filter!;
        const read = await this.hub.feed().page({ ...asked(filter), before: tape.floor, limit: narrows(filter) ? PAGE_NARROWED : PAGE, signal });
        if (signal.aborted) return;
        answered();
        this.#set({ tape: prepend(this.now.value.tape, read, this.#wanted) });
      }
    } catch (failed) {
      if (signal.aborted) return;
      const lookingError = asHubError(failed);
      answered(lookingError);
      const { tape } = this.now.value;
      // Retention was there before us.
      if (lookingError.code === "cursor.gone") this.#set({ tape: { ...tape, more: false } });
      else this.#set({ lookingError });
    } finally {
      if (!signal.aborted) this.#set({ looking: false });
    }
  }

  #set(change: Partial<Followed>): void {
    this.now.value = { ...this.now.value, ...change };
  }
}

/** Waits, or is aborted. */
function pauseOf(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
