// What SSE, a native EventSource and long polls have in common: each is one connection, which opens once and ends once.
// It never looks at what comes: that is of those who extend it.
import { HubError, network } from "./errors.js";
import type { Ask, Fault, Line, Sink, Wires } from "./wire.js";

/** One connection, for one reader. */
export abstract class Connection implements Line {
  readonly #abort = new AbortController();
  #timer?: ReturnType<typeof setTimeout>;
  opened = false;
  /** What it was opened with. */
  token?: string;
  /** What the hub asked to wait, in milliseconds. */
  floorMs?: number;

  constructor(
    readonly wires: Wires,
    readonly ask: Ask,
    readonly sink: Sink,
  ) {}

  /** Reads until it ends; what it throws is why it is lost. */
  protected abstract run(): Promise<void>;

  abstract check(): unknown;

  /** Aborted at its end. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  begin(): this {
    void this.run().catch((error) => this.lose(error, error instanceof HubError || this.opened ? 0 : 1));
    return this;
  }

  /** Does one thing later, or nothing, in place of what was to be done. */
  later(ms = 0, what?: () => void): void {
    clearTimeout(this.#timer);
    if (what && !this.signal.aborted) this.#timer = setTimeout(what, ms);
  }

  /** It must have opened in time, or it is dead. */
  awaitOpen(): void {
    this.later(this.wires.openTimeoutMs, () => this.lose(network(undefined, "no stream in time"), 2));
  }

  /** Whether this is its end. */
  end(): boolean {
    const was = this.signal.aborted;
    clearTimeout(this.#timer);
    this.#abort.abort();
    return !was;
  }

  lose(cause: unknown, fault: Fault): void {
    const error = network(cause);
    if (this.end()) this.sink.lost(error, fault, error.retryAfterMs ?? this.floorMs, this.token);
  }

  close(): void {
    this.end();
  }
}
