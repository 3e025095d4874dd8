// The hub as a browser's own clients see it: a native EventSource, a plain WebSocket; each through kill -9.
//
// Nothing here waits for time to pass: every wait is for something that a reader would see.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch } from "./chromium.mjs";
import { Hub, crashAndPublishMeanwhile } from "./hub.mjs";

const THREAD = "browser";
const WAIT_MS_MAX = 60_000;
// More than a page asks for when it opens, so that only a resume can have them all.
const MISSED = 60;

let browser;
let hub;
let page;
let complaints;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async () => {
  complaints = [];
  page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  page.on("pageerror", (error) => complaints.push(String(error)));
});

afterEach(async () => {
  await page?.close();
  await hub?.remove();
  hub = undefined;
});

async function hubWithThread(env = {}) {
  hub = await Hub.make(env);
  await hub.start();
  const token = await hub.token("alice");
  await hub.create(token, THREAD);
  return token;
}

function numbered(name, count) {
  return Array.from({ length: count }, (_, n) => `${name} ${n}`);
}

/** Waits until the page's collected texts are as many as expected, then wants them to be exactly those. */
async function seen(expected) {
  await page.waitForFunction((count) => globalThis.seen.length >= count, expected.length);
  assert.deepEqual(await page.evaluate(() => globalThis.seen), expected);
}

test("a native EventSource comes back by itself after a crash", async () => {
  const token = await hubWithThread({ TAMBOUR__AUTH__ALLOW_JWT_IN_QUERY: "true" });
  // Any page of the hub's origin that runs nothing of its own.
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate((url) => {
    globalThis.seen = [];
    globalThis.opened = 0;
    const source = new EventSource(url);
    source.addEventListener("connected", () => (globalThis.opened += 1));
    source.addEventListener("chat_message", ({ data, lastEventId }) => {
      const event = JSON.parse(data);
      globalThis.seen.push(lastEventId === event.id ? event.data.text : `the id ${lastEventId} is not the event's`);
    });
  }, `/v1/threads/${THREAD}/events?${hub.query(token)}`);
  await page.waitForFunction(() => globalThis.opened === 1);

  const texts = numbered("live", 5);
  await hub.publish(token, THREAD, texts);
  await seen(texts);
  for (const round of ["first", "second"]) {
    const missed = numbered(`${round} crash`, MISSED);
    await crashAndPublishMeanwhile(hub, token, THREAD, missed);
    texts.push(...missed);
    await seen(texts);
    await hub.publish(token, THREAD, [`${round} live again`]);
    texts.push(`${round} live again`);
    await seen(texts);
  }
  assert.deepEqual(complaints, []);
});

test("an EventSource that saw nothing yet misses nothing either", async () => {
  const token = await hubWithThread({ TAMBOUR__AUTH__ALLOW_JWT_IN_QUERY: "true" });
  await hub.publish(token, THREAD, ["not asked for"]);
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate((url) => {
    globalThis.seen = [];
    globalThis.opened = 0;
    const source = new EventSource(url);
    source.addEventListener("connected", () => (globalThis.opened += 1));
    source.addEventListener("chat_message", ({ data }) => globalThis.seen.push(JSON.parse(data).data.text));
  }, `/v1/threads/${THREAD}/events?${hub.query(token)}`);
  await page.waitForFunction(() => globalThis.opened === 1);
  const missed = numbered("crash", 3);
  await crashAndPublishMeanwhile(hub, token, THREAD, missed);
  await seen(missed);
});

test("a plain WebSocket resumes with after", async () => {
  const token = await hubWithThread();
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate(
    ({ token, topic }) => {
      globalThis.seen = [];
      globalThis.subscribed = 0;
      let cursor;
      const connect = () => {
        const socket = new WebSocket(`ws://${location.host}/v1/ws`);
        socket.onopen = () => socket.send(JSON.stringify({ t: "hello", token, tenant_id: "t_demo", env: "dev" }));
        socket.onclose = () => setTimeout(connect, 50);
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.t === "welcome") socket.send(JSON.stringify({ t: "subscribe", ref: 1, topic, after: cursor }));
          if (frame.t === "subscribed") {
            globalThis.subscribed += 1;
            cursor = frame.cursor;
          }
          if (frame.t === "event") {
            cursor = frame.event.id;
            globalThis.seen.push(frame.event.data.text);
          }
          if (frame.t === "gap" || frame.t === "error") globalThis.seen.push(data);
        };
      };
      connect();
    },
    { token, topic: `thread/${THREAD}` },
  );
  await page.waitForFunction(() => globalThis.subscribed === 1);

  const texts = numbered("live", 5);
  await hub.publish(token, THREAD, texts);
  await seen(texts);
  for (const round of ["first", "second"]) {
    const missed = numbered(`${round} crash`, MISSED);
    await crashAndPublishMeanwhile(hub, token, THREAD, missed);
    texts.push(...missed);
    await seen(texts);
    await hub.publish(token, THREAD, [`${round} live again`]);
    texts.push(`${round} live again`);
    await seen(texts);
  }
  assert.deepEqual(complaints, []);
});
