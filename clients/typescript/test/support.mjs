// What the tests of the client share: a hub, clients of it, and waiting without guessing.
// The hub is the real one; TAMBOUR_BIN names it.
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { Hub as Real } from "../../../tests/browser/hub.mjs";
import { Hub } from "../dist/index.js";

export { Real };

/** Streams come back fast, so that tests are. */
export const FAST = { TAMBOUR__SESSION__SSE_RETRY_MS: "100" };
const BACKOFF = { firstMs: 30, maxMs: 300 };
const WITHIN_MS = 30_000;

const deferred = new WeakMap();

/** Done behind the test, the last first: clients end before what they are connected to. */
export function defer(t, what) {
  if (!deferred.has(t)) {
    deferred.set(t, []);
    t.after(async () => {
      for (const one of deferred.get(t).reverse()) await one();
    });
  }
  deferred.get(t).push(what);
}

/** A hub that runs, and is removed with the test; `token` is of alice. */
export async function hubOf(t, env = {}) {
  const real = await Real.make({ ...FAST, ...env });
  defer(t, () => real.remove());
  await real.start();
  const token = await real.token("alice");
  return { real, token };
}

/** Which options make a client read over one transport alone. `eventsource` is SSE by a native EventSource. */
export const OVER = {
  ws: { transports: ["ws"] },
  sse: { transports: ["sse"] },
  eventsource: { transports: ["sse"], EventSource },
  poll: { transports: ["poll"] },
};

/** A client that ends with the test. */
export function client(t, url, token, options = {}) {
  const hub = new Hub({ url, tenant: "t_demo", env: "dev", token, WebSocket, backoff: BACKOFF, openTimeoutMs: 3_000, checkMs: 300, ...options });
  defer(t, () => hub.close());
  return hub;
}

/** Until it is so; fails with what was seen meanwhile. */
export async function until(is, what, withinMs = WITHIN_MS) {
  for (const began = Date.now(); ; await new Promise((later) => setTimeout(later, 10))) {
    const answer = await is();
    if (answer) return answer;
    if (Date.now() - began > withinMs) throw new Error(`not in time: ${typeof what === "function" ? what() : what}`);
  }
}

/** A subscription and all that it gave. */
export function reading(topic, options = {}) {
  const seen = { items: [], states: [], errors: [], over: undefined };
  seen.sub = topic.subscribe(options, {
    event: (event) => seen.items.push(event),
    gap: (gap) => seen.items.push(gap),
    closed: () => (seen.over = "closed"),
    deleted: () => (seen.over = "deleted"),
    forbidden: () => (seen.over = "forbidden"),
    replaced: () => (seen.over = "replaced"),
    error: (error) => seen.errors.push(error),
    state: (state, how) => seen.states.push([state, how.transport ?? how.error?.code]),
  });
  seen.seqs = () => seen.items.map((item) => item.seq ?? item.t);
  seen.live = () => until(() => seen.sub.state === "live", () => JSON.stringify([seen.states, seen.errors.map(String)]));
  seen.has = (count) => until(() => seen.items.length >= count, () => `${seen.items.length} of ${count}: ${JSON.stringify(seen.states.slice(-6))}`);
  return seen;
}

/** 1 to count. */
export const upTo = (count) => Array.from({ length: count }, (_, index) => index + 1);
