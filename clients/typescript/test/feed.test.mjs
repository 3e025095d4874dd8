// The feed over each transport: what its pages say, in order and once, through crashes and cuts; filters, places, gaps.
// The hub is real, and what is expected is read from it by plain requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { topicOf } from "../dist/index.js";
import { FaultProxy, random } from "./fault-proxy.mjs";
import { client, defer, hubOf, OVER, reading, until, upTo } from "./support.mjs";

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const WRITTEN = 90;
const CRASHES = 3;

/** All that GET /v1/feed has for somebody, page by page. */
async function paged(real, token, filter = {}, from = "earliest") {
  const events = [];
  for (let after = from; ; ) {
    const asked = new URLSearchParams({ after, limit: 40, ...filter });
    const headers = { authorization: `Bearer ${token}`, "x-tenant-id": "t_demo", "x-env": "dev" };
    const answer = await fetch(`${real.url}/v1/feed?${asked}`, { headers });
    const page = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(page));
    events.push(...page.events);
    if (!page.has_more) return { events, page };
    after = page.cursor;
  }
}

/** A hub with what alice and bob may read, and what carol alone may. */
async function hubWithTopics(t, env) {
  const { real, token } = await hubOf(t, { TAMBOUR__TOKENS__OUTSTANDING_MAX: "1000", ...env });
  const carol = await real.token("carol");
  await client(t, real.url, token).topic("thread/open").create();
  await client(t, real.url, token).topic("canvas/open").create();
  await client(t, real.url, carol).topic("thread/hidden").create({ visibility: "private" });
  return { real, tokens: { alice: token, bob: await real.token("bob"), carol } };
}

const FILTERS = {
  all: {},
  "by type": { types: ["note", "thread.*"] },
  "by topic": { topics: ["thread/open"] },
};
const asQuery = (filter) => Object.fromEntries(Object.entries(filter).map(([name, list]) => [name, list.join()]));

test("kill -9 and cuts under readers of the feed over every transport: what pages say, in order, once", async (t) => {
  const { real, tokens } = await hubWithTopics(t);
  const proxy = await FaultProxy.start(real.port);
  defer(t, () => proxy.stop());
  const next = random(SEED);
  proxy.faults = () => (next() < 0.6 ? { cutAfter: Math.floor(next() * 15_000), cutAfterUp: 300 + Math.floor(next() * 20_000) } : {});
  const readers = [];
  for (const sub of ["alice", "bob"]) {
    const hubs = Object.entries(OVER).map(([over, how]) => [over, client(t, proxy.url, tokens[sub], how)]);
    for (const [over, hub] of hubs) {
      for (const [name, filter] of Object.entries(FILTERS)) {
        readers.push({ what: `${sub}, ${name}, over ${over}, seed ${SEED}`, sub, filter, seen: reading(hub.feed(), { after: "earliest", ...filter }) });
      }
    }
  }
  const written = [["alice", "thread/open"], ["alice", "canvas/open"], ["carol", "thread/hidden"]].map(async ([sub, name], index) => {
    const topic = client(t, proxy.url, tokens[sub], { transports: [["ws"], ["poll"]][index % 2] }).topic(name);
    if (index === 0) reading(topic);
    for (const n of upTo(WRITTEN)) await topic.publish(n % 4 ? "note" : "other", { n, text: "x".repeat(n) });
  });
  const count = async () => (await paged(real, tokens.carol)).events.length;
  for (const crash of upTo(CRASHES)) {
    await until(async () => (await count()) > (crash * 3 * WRITTEN) / (CRASHES + 1), "it is written");
    await real.kill();
    await real.start(real.port);
  }
  await Promise.all(written);
  await client(t, real.url, tokens.alice).request("POST", "/v1/canvases/open/close");
  const expected = new Map();
  for (const { what, sub, filter, seen } of readers) {
    const key = JSON.stringify([sub, filter]);
    if (!expected.has(key)) expected.set(key, (await paged(real, tokens[sub], asQuery(filter))).events);
    const events = expected.get(key);
    await seen.has(events.length);
    assert.deepEqual(seen.items, events, what);
    assert.deepEqual([seen.over, seen.errors], [undefined, []], `${what}: a topic that is closed ends no feed`);
  }
  const sizes = [...expected.values()].map((events) => events.length);
  assert.ok(sizes.every((size) => size > WRITTEN / 2) && new Set(sizes).size > 2, String(sizes));
  assert.ok(!expected.get(JSON.stringify(["bob", {}])).some((event) => topicOf(event) === "thread/hidden"));
  assert.ok(proxy.connections > readers.length);
});

test("where a feed is read from, by iteration and in pages, with the topics of its events", async (t) => {
  const { real, tokens } = await hubWithTopics(t);
  for (const over of Object.keys(OVER)) {
    const hub = client(t, real.url, tokens.alice, OVER[over]);
    const feed = hub.feed();
    const all = (await paged(real, tokens.alice)).events;
    const live = reading(feed);
    await live.live();
    // So many of the tenant's, not of those that its reader sees.
    const { events: newestSeen } = await feed.page({ last: 3 });
    const last = reading(feed, { last: 3 });
    await last.has(newestSeen.length);
    const behind = reading(feed, { after: all[0].feed_id });
    await behind.has(all.length - 1);
    await hub.topic("thread/open").publish("note", over);
    const told = [];
    for await (const item of feed.events({ after: "earliest" })) {
      told.push(item);
      if (told.length > all.length) break;
    }
    const events = (await paged(real, tokens.alice)).events;
    assert.deepEqual(told, events, over);
    for (const [seen, expected] of [[live, events.slice(-1)], [last, [...newestSeen, events.at(-1)]], [behind, events.slice(1)]]) {
      await seen.has(expected.length);
      assert.deepEqual(seen.items, expected, over);
    }
    assert.deepEqual([topicOf(events[0]), topicOf(events.at(-1))], ["system/tenant", "thread/open"]);
    assert.deepEqual((await feed.page({ before: events.at(-1).feed_id, limit: 1, topics: ["canvas/open"] })).events.map(({ type }) => type), ["canvas.created"]);
  }
  const refused = reading(client(t, real.url, tokens.alice).feed(), { types: ["Not A Type"] });
  await until(() => refused.errors.length > 0, "it is refused");
  assert.equal(refused.errors[0].code, "query.invalid");
});

test("a reader whom nothing is told moves on, and a page that is loaded again begins there", async (t) => {
  const { real, tokens } = await hubWithTopics(t, { TAMBOUR__SESSION__SSE_COMMENT_SECONDS: "1", TAMBOUR__SESSION__WS_PING_SECONDS: "1" });
  const carol = client(t, real.url, tokens.carol);
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  const place = (cursor) => Number(cursor?.split(".")[1] ?? -1);
  // A native EventSource tells nobody of an id alone.
  for (const over of ["ws", "sse", "poll"]) {
    const before = client(t, real.url, tokens.bob, { ...OVER[over], storage });
    const hide = () => carol.request("POST", "/v1/threads/hidden/events", { body: upTo(700).map((n) => ({ type: "note", data: n })) });
    // A poll learns of it when its wait ends.
    if (over === "poll") await hide();
    const first = reading(before.feed(), { after: "earliest", persist: over, types: ["note"] });
    await first.live();
    if (over !== "poll") await hide();
    const { newest } = await carol.feed().page({ last: 0 });
    await until(() => place(first.sub.cursor) >= place(newest), () => `${over}: ${first.sub.cursor} of ${newest}`);
    before.close();
    await client(t, real.url, tokens.alice).topic("thread/open").publish("note", over);
    const second = reading(client(t, real.url, tokens.bob, { ...OVER[over], storage }).feed(), { persist: over, types: ["note"] });
    await second.has(1);
    assert.deepEqual(second.items.map(({ data }) => data), [over]);
    assert.deepEqual(second.errors, []);
  }
});

test("who iterates and is not done with an event gets it again behind a reload, wherever the feed stands by then", async (t) => {
  const { real, tokens } = await hubWithTopics(t, { TAMBOUR__SESSION__SSE_COMMENT_SECONDS: "1" });
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  let heard = "";
  const listen = new TransformStream({ transform: (piece, out) => (out.enqueue(piece), (heard += Buffer.from(piece))) });
  const listening = async (...asked) => {
    const { body, ...answer } = await fetch(...asked);
    return new Response(body.pipeThrough(listen), { ...answer, headers: { "content-type": "text/event-stream" } });
  };
  const bob = (how) => client(t, real.url, tokens.bob, { ...OVER.sse, storage, ...how });
  const hub = bob({ fetch: listening });
  const items = hub.feed().events({ persist: true, types: ["note"] });
  const first = items.next();
  await until(() => heard.includes('"t":"connected"'), "it is live");
  await client(t, real.url, tokens.alice).topic("thread/open").publish("note", 1);
  const item = await first;
  const carol = client(t, real.url, tokens.carol);
  await carol.topic("thread/hidden").publish("note", 2);
  const { newest } = await carol.feed().page({ last: 0 });
  await until(() => heard.includes(`id: ${newest}\n\n`), "the feed goes on");
  const again = await bob().feed().events({ persist: true, types: ["note"] }).next();
  assert.deepEqual([item.value.data, again.value], [1, item.value]);
  const done = items.next();
  await until(() => [...kept.values()].includes(newest), "it is done with");
  hub.close();
  assert.deepEqual(await done, { done: true, value: undefined });
});

test("a cursor that can't be honoured is told as a gap, and what is kept follows", async (t) => {
  const { real, tokens } = await hubWithTopics(t, { TAMBOUR__RETENTION__EVERY_SECONDS: "1", TAMBOUR__RETENTION__THREAD_COUNT_MAX: "10" });
  const hub = client(t, real.url, tokens.alice);
  const [first] = (await paged(real, tokens.alice)).events;
  const foreign = reading(hub.feed(), { after: first.id });
  await foreign.has(2);
  assert.deepEqual([foreign.items[0].reason, foreign.items[0].requested, foreign.items[1]], ["unknown", first.id, first]);

  await hub.request("POST", "/v1/threads/open/events", { body: upTo(30).map((n) => ({ type: "note", data: n })) });
  const gone = await until(async () => {
    const { oldest } = await hub.request("GET", "/v1/threads/open");
    return oldest.endsWith(".21") && (await hub.feed().page({ after: first.feed_id }).then(() => undefined, (error) => error));
  }, "retention takes some");
  const { oldest } = await hub.feed().page({ last: 0 });
  assert.deepEqual([gone.code, gone.reason, gone.oldest], ["cursor.gone", "trimmed", oldest]);
  const kept = (await paged(real, tokens.alice)).events;
  for (const over of Object.keys(OVER)) {
    const seen = reading(client(t, real.url, tokens.alice, OVER[over]).feed(), { after: first.feed_id });
    const expected = kept.slice(1);
    await seen.has(expected.length + 1);
    const [gap, ...events] = seen.items;
    assert.deepEqual([gap.t, gap.reason, gap.requested, gap.oldest], ["gap", "trimmed", first.feed_id, oldest], over);
    assert.deepEqual(events, expected, over);
    assert.ok(expected.length >= 10);
  }
});

test("what is trimmed away while a page is asked for is told by a poll, too", async (t) => {
  const { real, tokens } = await hubWithTopics(t, { TAMBOUR__RETENTION__EVERY_SECONDS: "1", TAMBOUR__RETENTION__THREAD_COUNT_MAX: "10" });
  const admin = client(t, real.url, tokens.alice);
  let letThrough;
  const held = new Promise((resolve) => (letThrough = resolve));
  // The network is slow with pages that wait.
  const slowly = async (url, how) => (/wait=/.test(url) && (await held), fetch(url, how));
  const hub = client(t, real.url, tokens.alice, { ...OVER.poll, fetch: slowly });
  const [thread, feed] = [reading(hub.topic("thread/open")), reading(hub.feed())];
  for (const seen of [thread, feed]) await seen.live();
  await admin.request("POST", "/v1/threads/open/events", { body: upTo(30).map((n) => ({ type: "note", data: n })) });
  const trimmed = async () => (await admin.request("GET", "/v1/threads/open")).oldest.endsWith(".21") && (await admin.feed().page({ last: 0 })).oldest.split(".")[1] > 20;
  await until(trimmed, "retention takes some");
  letThrough();
  for (const seen of [thread, feed]) {
    await seen.has(11);
    assert.deepEqual(seen.items.map((item) => item.reason ?? item.data), ["trimmed", ...upTo(30).slice(20)]);
    assert.deepEqual(seen.errors, []);
  }
});

test("what is told twice on the way, at once or later, is given once", async (t) => {
  const { real, tokens } = await hubWithTopics(t);
  const proxy = await FaultProxy.start(real.port);
  defer(t, () => proxy.stop());
  const before = [];
  let repeated = 0;
  proxy.faults = () => ({
    frame: (frame) => {
      if (frame.t !== "event" || frame.topic !== "feed") return [frame];
      before.push(frame);
      repeated += before.length > 3;
      return before.length > 3 ? [frame, before.at(-3), { t: "progress", topic: "feed", cursor: before.at(-3).event.feed_id }, frame] : [frame];
    },
  });
  const seen = reading(client(t, proxy.url, tokens.alice, OVER.ws).feed(), { after: "earliest" });
  await seen.live();
  const topic = client(t, real.url, tokens.alice).topic("thread/open");
  for (const n of upTo(30)) await topic.publish("note", n);
  const { events } = await paged(real, tokens.alice);
  await seen.has(events.length);
  assert.deepEqual(seen.items, events);
  assert.equal(seen.sub.cursor, events.at(-1).feed_id, "nor does it go back");
  assert.ok(repeated > 20);
});
