// What a reader may ask for, and how it ends: iteration, abort, resuming over a reload, tokens that end, take-over, rights,
// many topics. The hub is real.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { HubError } from "../dist/index.js";
import { client, hubOf, OVER, reading, until, upTo } from "./support.mjs";

/** A token that lives so many seconds. */
async function shortToken(real, seconds, sub = "alice") {
  const args = ["token", "--data", real.directory, "--tenant", "t_demo", "--env", "dev", "--sub", sub, "--role", "member", "--ttl", String(seconds)];
  return (await promisify(execFile)(process.env.TAMBOUR_BIN, args)).stdout.trim();
}

const memory = (kept = new Map()) => ({ getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) });

test("iteration: events, slowly read, until the topic is closed", async (t) => {
  const { real, token } = await hubOf(t);
  for (const over of Object.keys(OVER)) {
    const hub = client(t, real.url, token, OVER[over]);
    const topic = hub.topic(`thread/${over}`);
    await topic.create();
    // More than wait in memory, so that the reader has to hang up and come back.
    for (const from of [0, 1_000, 2_000]) await hub.request("POST", `/v1/threads/${over}/events`, { body: upTo(1_000).map((n) => ({ type: "note", data: from + n })) });
    const seen = [];
    for await (const item of topic.events({ after: "earliest" })) {
      seen.push(item.seq ?? item.reason);
      if (seen.length % 500 === 0) await new Promise((later) => setTimeout(later, 5));
      if (seen.length === 3_000) await hub.request("POST", `/v1/threads/${over}/close`);
    }
    assert.deepEqual(seen, [...upTo(3_001), "closed"], over);
  }
});

test("an iteration ends by break, by an abort with its reason, and by a refusal", async (t) => {
  const { real, token } = await hubOf(t);
  const hub = client(t, real.url, token);
  const topic = hub.topic("thread/welcome");
  await topic.publish("note", 1);
  for await (const item of topic.events({ last: 1 })) {
    assert.equal(item.data, 1);
    break;
  }
  const abort = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => abort.abort(reason), 50);
  await assert.rejects(async () => { for await (const item of topic.events({ signal: abort.signal })) void item; }, reason);
  await assert.rejects(async () => { for await (const item of topic.events({ signal: abort.signal })) void item; }, reason);
  await assert.rejects(async () => { for await (const item of hub.topic("thread/none").events()) void item; }, (error) => {
    assert.ok(error instanceof HubError && error.requestId);
    assert.deepEqual([error.code, error.status], ["topic.unknown", 404]);
    return true;
  });
  assert.throws(() => hub.topic("room/x"), TypeError);
});

test("a page that is loaded again goes on where it was", async (t) => {
  const { real, token } = await hubOf(t);
  const storage = memory();
  for (const over of Object.keys(OVER)) {
    const name = `thread/${over}`;
    const before = client(t, real.url, token, { ...OVER[over], storage });
    await before.topic(name).create();
    const first = reading(before.topic(name), { last: 0, persist: true });
    await first.live();
    await before.topic(name).publish("note", 1);
    await first.has(1);
    before.close();
    const admin = client(t, real.url, token);
    await admin.topic(name).publish("note", 2);
    const second = reading(client(t, real.url, token, { ...OVER[over], storage }).topic(name), { last: 500, persist: true });
    await second.has(1);
    assert.deepEqual(second.seqs(), [2], over);
    const other = reading(client(t, real.url, token, { ...OVER[over], storage }).topic(name), { last: 500, persist: "sidebar" });
    await other.has(2);
    assert.deepEqual(other.seqs(), [1, 2], `${over}, another name`);
  }
});

test("a token is replaced before it ends, and the reader never stops", async (t) => {
  const { real } = await hubOf(t, { TAMBOUR__AUTH__LEEWAY_SECONDS: "0" });
  const admin = client(t, real.url, await real.token("alice"));
  const check = async (over) => {
    const given = [];
    const provider = async () => (given.push(await shortToken(real, 12)), given.at(-1));
    const hub = client(t, real.url, provider, OVER[over]);
    await hub.topic(`thread/${over}`).create();
    const seen = reading(hub.topic(`thread/${over}`));
    await seen.live();
    // Past the end of the first, and not sooner than it has to be.
    const end = Date.now() + 13_000;
    await until(() => Date.now() > end, "time passes");
    await admin.topic(`thread/${over}`).publish("note", over);
    await seen.has(1);
    assert.ok(!seen.states.some(([state]) => state === "waiting"), JSON.stringify([over, seen.states]));
    assert.ok(given.length >= 2 && given.length <= 5, `${over}: ${given.length}`);
    hub.close();
  };
  await Promise.all(["ws", "sse", "eventsource"].map(check));
});

test("a provider that gives the same token again and again is not asked in a circle", async (t) => {
  const { real } = await hubOf(t, { TAMBOUR__AUTH__LEEWAY_SECONDS: "0" });
  for (const over of ["ws", "sse", "eventsource"]) {
    const only = await shortToken(real, 3);
    let asked = 0;
    const seen = reading(client(t, real.url, () => (asked++, only), { ...OVER[over], backoff: { firstMs: 500, maxMs: 500 } }).topic("thread/welcome"));
    await seen.live();
    await until(() => seen.errors.length > 0, () => JSON.stringify([over, asked, seen.states.slice(-6)]));
    assert.deepEqual([seen.errors[0].code, seen.sub.state], ["auth.token_expired", "ended"], over);
    assert.ok(asked < 12, `${over}: ${asked}`);
  }
});

test("behind a 401 the provider is asked once more, and no more than that", async (t) => {
  const { real, token } = await hubOf(t, { TAMBOUR__RATES__BAD_TOKENS_PER_MINUTE: "0" });
  for (const over of Object.keys(OVER)) {
    let asked = 0;
    const good = client(t, real.url, () => (++asked === 1 ? "h.e30.s" : token), OVER[over]);
    const seen = reading(good.topic("thread/welcome"));
    await seen.live();
    assert.equal(asked, 2, over);
    for (const never of [() => (asked++, "h.e30.s"), "h.e30.s"]) {
      asked = 0;
      const refused = reading(client(t, real.url, never, OVER[over]).topic("thread/welcome"));
      await until(() => refused.errors.length > 0, over);
      assert.deepEqual([refused.errors[0].status, refused.errors[0].code, refused.sub.state], [401, "auth.token_invalid", "ended"], over);
      assert.ok(asked <= 3, `${over}: ${asked}`);
    }
  }
  await assert.rejects(client(t, real.url, "h.e30.s").topic("thread/welcome").publish("note", 1), { code: "auth.token_invalid" });
  let calls = 0;
  const flaky = () => {
    if (++calls < 4) throw new Error("the login is away");
    return token;
  };
  await client(t, real.url, flaky).topic("thread/welcome").publish("note", 1);
  assert.equal(calls, 4, "a provider that fails is asked again");
});

test("a provider that never answers holds up nothing for ever", async (t) => {
  const { real, token } = await hubOf(t);
  for (const over of Object.keys(OVER)) {
    let asked = 0;
    const silentAtFirst = () => (++asked < 3 ? new Promise(() => {}) : token);
    const hub = client(t, real.url, silentAtFirst, { ...OVER[over], timeoutMs: 1_000 });
    const seen = reading(hub.topic("thread/welcome"), { after: "earliest" });
    await assert.rejects(hub.request("GET", "/v1/threads/welcome"), { code: "client.token", status: 0 });
    const written = hub.topic("thread/welcome").publish("note", over);
    await until(() => seen.items.at(-1)?.data === over, () => JSON.stringify(seen.states));
    assert.ok(seen.states.some(([state, how]) => state === "waiting" && how === "client.token"), JSON.stringify(seen.states));
    assert.equal((await written).id, seen.items.at(-1).id);
    assert.equal(asked, 3, over);
  }
});

test("a newer stream of the same stream token takes over: replaced", async (t) => {
  const { real, token } = await hubOf(t);
  for (const over of ["ws", "sse"]) {
    const { token: stream } = await client(t, real.url, token).request("POST", "/v1/stream-tokens", { body: { topics: ["thread/welcome"] } });
    const only = { ...OVER[over], tenant: undefined, env: undefined };
    const first = reading(client(t, real.url, stream, only).topic("thread/welcome"));
    await first.live();
    const second = reading(client(t, real.url, stream, only).topic("thread/welcome"));
    await second.live();
    await until(() => first.over, () => JSON.stringify([over, first.states]));
    assert.deepEqual([first.over, first.sub.state, second.sub.state], ["replaced", "ended", "live"], over);
  }
});

test("who may not read any more is told: forbidden", async (t) => {
  const { real, token } = await hubOf(t);
  const admin = client(t, real.url, token);
  const bob = await real.token("bob");
  for (const over of Object.keys(OVER)) {
    await admin.topic(`thread/${over}`).create({ visibility: "private", members: [{ sub: "bob", can: "read" }] });
    const seen = reading(client(t, real.url, bob, OVER[over]).topic(`thread/${over}`));
    await seen.live();
    await admin.request("DELETE", `/v1/threads/${over}/members/bob`);
    // A poll that waits is told with its next.
    if (over === "poll") await admin.topic(`thread/${over}`).publish("note", 1);
    await until(() => seen.over, () => JSON.stringify([over, seen.states]));
    assert.equal(seen.over, "forbidden", over);
  }
});

test("one WebSocket has 128 topics, a second the rest, and no frame is refused for its rate", async (t) => {
  const { real, token } = await hubOf(t);
  const hub = client(t, real.url, token, OVER.ws);
  const names = upTo(130).map((n) => `thread/many-${n}`);
  await Promise.all(names.map((name) => hub.topic(name).create()));
  const readers = names.map((name) => reading(hub.topic(name)));
  for (const seen of readers) await seen.live();
  const { sessions } = await hub.request("GET", "/v1/sessions");
  assert.deepEqual(sessions.map(({ topics }) => topics.length).sort((a, b) => a - b), [2, 128]);
  await Promise.all(names.map((name, n) => hub.topic(name).publish("note", n)));
  for (const [n, seen] of readers.entries()) {
    await seen.has(1);
    assert.deepEqual(seen.items.map(({ data }) => data), [n]);
  }
  // Left and asked for again at once, and twice at the same time.
  readers[0].sub.close();
  const again = [reading(hub.topic(names[0]), { last: 1 }), reading(hub.topic(names[0]), { last: 1 })];
  for (const seen of again) {
    await seen.has(1);
    assert.deepEqual(seen.seqs(), [1]);
  }
});

test("writes: typed refusals, keys of one's own, conditions, stop, pages", async (t) => {
  const { real, token } = await hubOf(t);
  for (const over of ["ws", "poll"]) {
    const hub = client(t, real.url, token, OVER[over]);
    const topic = hub.topic(`canvas/${over}`);
    await topic.create({ title: "a canvas" });
    await reading(topic).live();
    const first = await topic.publish("note", 1, { idempotencyKey: "mine", expect: "empty" });
    assert.deepEqual(await topic.publish("note", 1, { idempotencyKey: "mine" }), first);
    await assert.rejects(topic.publish("note", 2, { idempotencyKey: "mine" }), { code: "idempotency.mismatch", status: 409 });
    await assert.rejects(topic.publish("note", 2, { expect: "empty" }), { code: "expect.mismatch", head: first.id });
    await assert.rejects(topic.publish("gap", 1), { code: "type.reserved", status: 400 });
    await assert.rejects(topic.publish("note", "x".repeat(400_000)), { code: "event.too_large", status: 413 });
    await assert.rejects(topic.create(), { code: "topic.exists" });
    const refused = topic.publish("Not A Type", 1);
    topic.append(refused, "text");
    await assert.rejects(refused, { code: "type.invalid" });
    await assert.rejects(topic.flush(), { code: "type.invalid" });
    await topic.flush();
    await topic.stop(first, { reason: "enough" });
    const page = await topic.page({ last: 2 });
    assert.deepEqual(page.events.map(({ type, data }) => [type, data]), [["note", 1], ["stop", { event_id: first.id, reason: "enough" }]]);
    hub.close();
    await assert.rejects(topic.publish("note", 3), { code: "client.closed" });
  }
});
