// The TypeScript client as a real browser runs it, on a page of another origin than the hub's: live, over crashes of the hub
// and reloads of the page, by its WebSocket and by EventSource; and offline. It loads what `npm run build` of clients/typescript has made.
//
// Nothing here waits for time to pass: every wait is for something that a reader would see.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { Hub, crashAndPublishMeanwhile } from "./hub.mjs";

const THREAD = "shown";
const WAIT_MS_MAX = 60_000;

let browser, server, origin;

before(async () => {
  const bundle = await readFile(new URL("../../clients/typescript/dist/tambour.min.js", import.meta.url));
  server = createServer((request, response) => {
    const isScript = request.url === "/tambour.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? bundle : "<!doctype html><title>a page</title>");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server?.close();
});

/** Reads the thread on the page; `options` are of the hub object. */
async function read(page, url, token, options) {
  await page.evaluate(
    async ([url, token, options, thread]) => {
      const { Hub } = await import("/tambour.js");
      globalThis.hub = new Hub({ url, tenant: "t_demo", env: "dev", token, ...options });
      globalThis.topic = globalThis.hub.topic(`thread/${thread}`);
      globalThis.texts = [];
      globalThis.reading = globalThis.topic.subscribe({ persist: true, last: 0 }, { event: ({ data }) => globalThis.texts.push(data.text) });
    },
    [url, token, options, THREAD],
  );
  await page.waitForFunction(() => globalThis.reading.state === "live");
}

async function seen(page, expected) {
  await page.waitForFunction((count) => globalThis.texts.length >= count, expected.length);
  assert.deepEqual(await page.evaluate(() => globalThis.texts), expected);
}

for (const [over, options] of [
  ["ws", {}],
  ["sse", { transports: ["sse"] }],
  ["sse", { transports: ["sse"], EventSource: true }],
  ["poll", { transports: ["poll"] }],
]) {
  test(`${JSON.stringify(options)}: over a crash and a reload, each event once`, async () => {
    const hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: origin });
    try {
      await hub.start();
      const token = await hub.token("alice");
      await hub.create(token, THREAD);
      const page = await browser.newPage();
      page.setDefaultTimeout(WAIT_MS_MAX);
      await page.goto(origin);
      await read(page, hub.url, token, options);
      assert.equal(await page.evaluate(() => globalThis.reading.transport), over);
      await page.evaluate(() => globalThis.topic.publish("chat_message", { text: "mine" }));
      await seen(page, ["mine"]);

      await crashAndPublishMeanwhile(hub, token, THREAD, ["one", "two"]);
      await page.evaluate(() => void globalThis.topic.publish("chat_message", { text: "mine again" }));
      await seen(page, ["mine", "one", "two", "mine again"]);

      await page.reload();
      await hub.publish(token, THREAD, ["while it was away"]);
      await read(page, hub.url, token, options);
      await seen(page, ["while it was away"]);
      await page.close();
    } finally {
      await hub.remove();
    }
  });
}

test("a browser that goes offline notices it by itself, and misses nothing", async () => {
  const hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: origin });
  const context = await browser.newContext();
  try {
    await hub.start();
    const token = await hub.token("alice");
    await hub.create(token, THREAD);
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    await page.goto(origin);
    // A heartbeat would notice it, too, but not before 25 s.
    await read(page, hub.url, token, { checkMs: 1_000 });
    assert.equal(await page.evaluate(() => globalThis.reading.transport), "ws");
    await context.setOffline(true);
    await page.waitForFunction(() => globalThis.reading.state === "waiting", undefined, { timeout: 15_000 });
    await hub.publish(token, THREAD, ["while it was offline"]);
    await page.evaluate(() => void globalThis.topic.publish("chat_message", { text: "written offline" }));
    await context.setOffline(false);
    await page.waitForFunction(() => globalThis.texts.length === 2);
    assert.deepEqual(await page.evaluate(() => globalThis.texts), ["while it was offline", "written offline"]);
    assert.equal(await page.evaluate(() => globalThis.reading.state), "live");
  } finally {
    await context.close();
    await hub.remove();
  }
});
