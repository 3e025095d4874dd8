// The token that says who the client is: asked for ahead of its end, once for all who need it, and again after a refusal.
// It never keeps a token anywhere but in memory.
import { sleep } from "./backoff.js";
import { HubError } from "./errors.js";

/** A token, or what gives one: called when there is none, before it expires, and after the hub refused it. */
export type TokenProvider = string | (() => string | Promise<string>);

/** A token is replaced so long before its end, in milliseconds. */
const AHEAD_MS = 60_000;

/** When a JWT ends, in milliseconds since 1970; nothing of a token that is none. */
export function expiryOf(token: string): number | undefined {
  try {
    const claims = JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims.exp === "number" ? claims.exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

/** In how many milliseconds a token is to be replaced. One that lives for less than twice the time ahead is used for half of its life. */
export function staleInMs(takenAt: number, expiresAt: number | undefined, now: number): number {
  if (expiresAt === undefined) return Infinity;
  return Math.max(0, expiresAt - Math.min(AHEAD_MS, (expiresAt - takenAt) / 2) - now);
}

/** The token of one hub. */
export class Tokens {
  #token?: string;
  #takenAt = 0;
  #asking?: Promise<string>;

  /** A provider that has not answered within `timeoutMs` has failed. */
  constructor(
    readonly provider: TokenProvider,
    readonly timeoutMs: number,
  ) {}

  /** Whether another can be had. */
  get renewable(): boolean {
    return typeof this.provider === "function";
  }

  /** The token to use now. Fails with `client.token`. */
  async get(): Promise<string> {
    if (typeof this.provider === "string") return this.provider.trim();
    if (this.#token !== undefined && staleInMs(this.#takenAt, expiryOf(this.#token), Date.now()) > 0) return this.#token;
    return (this.#asking ??= this.#ask(this.provider).finally(() => (this.#asking = undefined)));
  }

  /** The hub refused it, or will: another is asked for. One that was replaced already changes nothing. */
  drop(token: string | undefined): void {
    if (token === this.#token) this.#token = undefined;
  }

  /**
   * Another token in place of one that runs out, not before it is stale: a hub says so of a short one as soon as it
   * sees it. Nothing where none can be had, or the same is given again.
   */
  async renewed(token: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    if (!this.renewable) return undefined;
    const ms = token === this.#token && token ? staleInMs(this.#takenAt, expiryOf(token), Date.now()) : 0;
    if (ms < Infinity) await sleep(ms, signal);
    if (signal.aborted) return undefined;
    this.drop(token);
    const next = await this.get().catch(() => undefined);
    return next === token ? undefined : next;
  }

  async #ask(provider: () => string | Promise<string>): Promise<string> {
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error("no token in time")), this.timeoutMs)));
    try {
      // A file or a command often ends with a line feed; no token has white space.
      this.#token = (await Promise.race([provider(), late])).trim();
      this.#takenAt = Date.now();
      return this.#token;
    } catch (cause) {
      throw new HubError({ code: "client.token", detail: "the token provider failed", cause });
    } finally {
      clearTimeout(timer!);
    }
  }
}
