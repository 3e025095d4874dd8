// The client when things break: crashes under readers and a writer, networks that cut, swallow, refuse, repeat and lose.
// Nothing is missing, nothing comes twice, each publish is there once. The hub is real, the faults are the proxy's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultProxy, random } from "./fault-proxy.mjs";
import { client, defer, hubOf, OVER, reading, until, upTo } from "./support.mjs";

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const PUBLISHED = 150;
const CRASHES = 3;

async function behindProxy(t, env) {
  const { real, token } = await hubOf(t, env);
  const proxy = await FaultProxy.start(real.port);
  defer(t, () => proxy.stop());
  return { real, token, proxy };
}

/** What is in the log, by the numbers that were published. */
async function logged(t, real, token, name) {
  const all = [];
  for (let after = "earliest"; ; ) {
    const page = await client(t, real.url, token).topic(name).page({ after, limit: 500 });
    all.push(...page.events);
    if (!page.has_more) return all;
    after = page.cursor;
  }
}

test("kill -9 under readers over every transport and under a writer: nothing missing, nothing twice", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const next = random(SEED);
  await client(t, real.url, token).topic("thread/x").create();
  proxy.faults = () => (next() < 0.5 ? { cutAfter: Math.floor(next() * 20_000), cutAfterUp: 400 + Math.floor(next() * 20_000) } : {});
  const readers = Object.entries(OVER).map(([over, how]) => [over, reading(client(t, proxy.url, token, how).topic("thread/x"), { after: "earliest" })]);
  // It writes over its WebSocket while that lives, else by requests.
  const writer = client(t, proxy.url, token, { transports: ["ws"] });
  reading(writer.topic("thread/x"));
  const written = upTo(PUBLISHED).map((n) => writer.topic("thread/x").publish("note", { n }));
  for (const crash of upTo(CRASHES)) {
    await Promise.race(written.slice((crash * PUBLISHED) / (CRASHES + 1)));
    await real.kill();
    await real.start(real.port);
  }
  const answers = await Promise.all(written);
  const log = await logged(t, real, token, "thread/x");
  assert.deepEqual(log.map(({ data }) => data.n), upTo(PUBLISHED), `each once and in order, seed ${SEED}`);
  assert.deepEqual(answers.map(({ id }) => id), log.map(({ id }) => id), "each was told its own place");
  for (const [over, seen] of readers) {
    await seen.has(PUBLISHED);
    assert.deepEqual(seen.items, log, `${over}, seed ${SEED}`);
  }
  assert.ok(proxy.connections > 10);
});

test("tokens that are appended through crashes are one text", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const topic = client(t, proxy.url, token, { transports: ["ws"] }).topic("thread/x");
  await topic.create();
  const folded = reading(client(t, proxy.url, token, { transports: ["ws"] }).topic("thread/x"), { after: "earliest", fold: true });
  reading(topic);
  const words = upTo(300).map((n) => `word${n} `);
  const answer = topic.publish("message", { role: "assistant" });
  for (const [at, word] of words.entries()) {
    topic.append(answer, word);
    if (at % 5 === 0) await new Promise((later) => setTimeout(later, 2));
    if (at === 100) proxy.cutAll();
    if (at === 200) {
      await real.kill();
      await real.start(real.port);
    }
  }
  await topic.flush();
  const { events } = await topic.page({ after: "earliest", fold: true });
  assert.deepEqual(events.map((event) => event.fold.text), [words.join("")]);
  // By the two rules of docs/token-streams.md.
  const text = () => folded.items.reduce((was, event) => (event.type === "append" ? was + event.data.data : (event.fold?.text ?? "")), "");
  await until(() => text() === words.join(""), () => text().slice(-100));
});

test("frames that are lost, repeated and swapped on the way: each event once, in order, the rest from the log", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const topic = client(t, real.url, token).topic("thread/x");
  await topic.create();
  const did = { lost: 0, repeated: 0, swapped: 0 };
  let kept;
  proxy.faults = () => ({
    frame: (frame) => {
      const before = kept ? [kept] : [];
      kept = undefined;
      if (frame.t !== "event") return [...before, frame];
      if (frame.event.seq % 7 === 3) return did.lost++, before;
      if (frame.event.seq % 7 === 5) return did.repeated++, [...before, frame, frame];
      if (frame.event.seq % 7 === 6) return did.swapped++, (kept = frame), before;
      return [frame, ...before];
    },
  });
  const seen = reading(client(t, proxy.url, token, { transports: ["ws"] }).topic("thread/x"));
  await seen.live();
  for (const n of upTo(60)) await topic.publish("note", { n });
  await seen.has(60);
  assert.deepEqual(seen.seqs(), upTo(60));
  assert.deepEqual(seen.states.filter(([state]) => state === "live").length, 1, "no connection was given up for it");
  assert.ok(did.lost > 5 && did.repeated > 5 && did.swapped > 5, JSON.stringify(did));
});

test("a WebSocket that never opens: SSE; a proxy that buffers: long polls; and up again when it can be", async (t) => {
  const { token, proxy } = await behindProxy(t);
  proxy.faults = () => ({ noUpgrade: true, holdStreams: true });
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  const hub = client(t, proxy.url, token, { openTimeoutMs: 500, betterMs: 1_500, storage });
  const topic = hub.topic("thread/x");
  await topic.create();
  const seen = reading(topic, { after: "earliest" });
  await seen.live();
  assert.equal(seen.sub.transport, "poll");
  await topic.publish("note", 1);
  await seen.has(1);
  assert.ok([...kept.values()].includes("poll"));

  const second = reading(client(t, proxy.url, token, { storage }).topic("thread/x"), { after: "earliest" });
  await second.live();
  assert.deepEqual(second.states[0], ["connecting", "poll"], "what worked is remembered");

  // All topics go up, wherever they are.
  await hub.topic("thread/y").create();
  await hub.topic("thread/z").create();
  const others = [reading(hub.topic("thread/y")), reading(hub.topic("thread/z"))];
  for (const other of others) await other.live();
  proxy.faults = () => ({});
  await until(() => seen.sub.transport === "ws", () => JSON.stringify(seen.states));
  for (const other of others) await until(() => other.sub.transport === "ws", () => JSON.stringify(other.states));
  await topic.publish("note", 2);
  await seen.has(2);
  assert.deepEqual(seen.seqs(), [1, 2]);
  const lives = seen.states.slice(seen.states.findIndex(([state]) => state === "live"));
  assert.deepEqual(lives, [["live", "poll"], ["live", "ws"]], "the old one lived until then");
  assert.ok([...kept.values()].includes("ws"));
});

test("only SSE is held: WebSocket stays; only WebSocket is refused: SSE", async (t) => {
  const { token, proxy } = await behindProxy(t);
  for (const [fault, expected] of [[{ holdStreams: true }, "ws"], [{ noUpgrade: true }, "sse"]]) {
    proxy.faults = () => fault;
    const topic = client(t, proxy.url, token, { openTimeoutMs: 1_000 }).topic(`thread/${expected}`);
    await topic.create();
    const seen = reading(topic);
    await seen.live();
    assert.equal(seen.sub.transport, expected);
  }
  proxy.faults = () => ({});
  // Connections for requests are kept, with the fault that they had.
  proxy.cutAll();
  for (const [options, expected] of [[{ WebSocket: false }, "sse"], [{ WebSocket: false, transports: ["ws", "poll"] }, "poll"]]) {
    const seen = reading(client(t, proxy.url, token, options).topic("thread/ws"));
    await seen.live();
    assert.equal(seen.sub.transport, expected);
  }
  const none = reading(client(t, proxy.url, token, { WebSocket: false, transports: ["ws"] }).topic("thread/ws"));
  await until(() => none.errors.length > 0, "it is refused");
  assert.equal(none.errors[0].code, "client.unsupported");
});

test("a hub that is away is not the transport's fault", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const seen = reading(client(t, proxy.url, token).topic("thread/welcome"));
  await seen.live();
  await real.kill();
  await until(() => seen.states.filter(([state]) => state === "connecting").length > 3, "it tries again");
  await real.start(real.port);
  await until(() => seen.states.at(-1)[0] === "live", () => JSON.stringify(seen.states));
  assert.deepEqual(new Set(seen.states.map(([, how]) => how).filter((how) => ["ws", "sse", "poll"].includes(how))), new Set(["ws"]));
});

test("a network that swallows everything is found out by a check, and nothing is lost", async (t) => {
  const { real, token, proxy } = await behindProxy(t, { TAMBOUR__SESSION__SSE_COMMENT_SECONDS: "1" });
  const admin = client(t, real.url, token);
  await admin.topic("thread/x").create();
  const page = new EventTarget();
  const hubs = ["ws", "sse"].map((over) => client(t, proxy.url, token, { ...OVER[over], page }));
  const readers = hubs.map((hub) => reading(hub.topic("thread/x")));
  for (const seen of readers) await seen.live();
  proxy.swallowAll();
  await admin.topic("thread/x").publish("note", 1);
  // As a page does when it is seen again.
  const looks = setInterval(() => page.dispatchEvent(new Event("visibilitychange")), 200);
  defer(t, () => clearInterval(looks));
  for (const seen of readers) {
    await seen.has(1);
    assert.deepEqual(seen.seqs(), [1]);
  }
});

test("a page that is online again does not wait to the end of its backoff", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const page = new EventTarget();
  const hub = client(t, proxy.url, token, { page, backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } });
  const seen = reading(hub.topic("thread/welcome"));
  await seen.live();
  await real.kill();
  await until(() => seen.sub.state === "waiting", "it waits");
  const written = hub.topic("thread/welcome").publish("note", 1);
  await real.start(real.port);
  await until(() => (page.dispatchEvent(new Event("online")), seen.sub.state === "live"), () => JSON.stringify(seen.states));
  assert.equal((await written).seq > 0, true);
});

test("what is published offline is written once and in order when the hub is back; the queue is bounded", async (t) => {
  const { real, token, proxy } = await behindProxy(t);
  const hub = client(t, proxy.url, token, { queueMax: 40 });
  const topic = hub.topic("thread/x");
  await topic.create();
  proxy.cutAll();
  proxy.faults = () => ({ refuse: true });
  const mutable = { n: 0 };
  const written = upTo(40).map((n) => {
    mutable.n = n;
    return topic.publish("note", mutable);
  });
  await assert.rejects(topic.publish("note", { n: 41 }), { name: "HubError", code: "client.queue_full", status: 0 });
  assert.equal(hub.queued, 40);
  const given = new AbortController();
  proxy.faults = () => ({ cutAfter: 50 });
  await until(() => proxy.connections > 6, "answers are cut");
  proxy.faults = () => ({});
  await Promise.all(written);
  const log = await logged(t, real, token, "thread/x");
  assert.deepEqual(log.map(({ data }) => data.n), upTo(40));

  proxy.faults = () => ({ refuse: true });
  proxy.cutAll();
  const first = topic.publish("note", { n: 41 });
  const second = topic.publish("note", { n: 42 }, { signal: given.signal });
  const third = topic.publish("note", { n: 43 });
  given.abort();
  await assert.rejects(second, { name: "AbortError" });
  proxy.faults = () => ({});
  await Promise.all([first, third]);
  assert.deepEqual((await logged(t, real, token, "thread/x")).map(({ data }) => data.n), [...upTo(41), 43]);
});

test("a hub that drains is left and found again, by all transports, with everything in between", async (t) => {
  const { real, token } = await hubOf(t);
  const writer = client(t, real.url, token).topic("thread/x");
  await writer.create();
  const readers = Object.values(OVER).map((how) => reading(client(t, real.url, token, how).topic("thread/x")));
  for (const seen of readers) await seen.live();
  await writer.publish("note", 1);
  const second = writer.publish("note", 2);
  await real.drain();
  await real.start(real.port);
  assert.deepEqual([(await writer.publish("note", 3)).seq, (await second).seq], [3, 2]);
  for (const seen of readers) {
    await seen.has(3);
    assert.deepEqual(seen.seqs(), [1, 2, 3]);
    assert.deepEqual(seen.errors, []);
  }
});

test("a hub that allows less than by default is served within that: topics and messages of a session, publishes", async (t) => {
  const limits = { TAMBOUR__SESSION__TOPICS_MAX: "2", TAMBOUR__SESSION__MESSAGES_PER_SECOND: "4", TAMBOUR__RATES__PUBLISH_PER_MINUTE: "40" };
  const { real, token } = await hubOf(t, limits);
  const hub = client(t, real.url, token, { transports: ["ws"] });
  const topics = upTo(5).map((n) => hub.topic(`thread/few-${n}`));
  for (const topic of topics) await topic.create();
  const readers = topics.map((topic) => reading(topic));
  for (const seen of readers) await seen.live();
  const { sessions } = await hub.request("GET", "/v1/sessions");
  assert.ok(sessions.length >= 3 && sessions.every(({ topics }) => topics.length <= 2), JSON.stringify(sessions.map(({ topics }) => topics.length)));
  const written = upTo(42).map((n) => topics[n % 5].publish("note", n));
  await Promise.all(written);
  for (const [at, seen] of readers.entries()) {
    const expected = upTo(42).filter((n) => n % 5 === at);
    await seen.has(expected.length);
    assert.deepEqual(seen.items.map(({ data }) => data), expected);
  }
});
