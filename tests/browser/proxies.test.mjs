// What a browser needs of a proxy: more streams than six, and an EventSource that outlives a hub that is away.
//
// Nothing here waits for time to pass: every wait is for something that a reader would see.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { chromium } from "playwright-core";

import { Hub } from "./hub.mjs";
import { Proxy } from "./proxy.mjs";

const THREAD = "browser";
const WAIT_MS_MAX = 60_000;
// A browser opens six connections to an origin, and over HTTP/1.1 a stream keeps one.
const STREAMS = 12;

let browser;
let hub;
let proxy;
let page;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-quic"],
  });
});

after(() => browser?.close());

afterEach(async () => {
  await page?.close();
  await proxy?.remove();
  await hub?.remove();
  page = proxy = hub = undefined;
});

/** A page of the proxy's origin with so many EventSources on one thread. */
async function openStreams(token) {
  page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(WAIT_MS_MAX);
  await page.goto(`${proxy.url}/healthz`);
  await page.evaluate(
    ({ url, streams }) => {
      globalThis.seen = [];
      globalThis.failures = 0;
      globalThis.sources = Array.from({ length: streams }, (_, n) => {
        const source = new EventSource(url);
        source.addEventListener("chat_message", ({ data }) => globalThis.seen.push(`${n} ${JSON.parse(data).data.text}`));
        source.addEventListener("error", () => (globalThis.failures += 1));
        return source;
      });
    },
    { url: `/v1/threads/${THREAD}/events?${hub.query(token)}`, streams: STREAMS },
  );
  await page.waitForFunction(() => globalThis.sources.every((source) => source.readyState === EventSource.OPEN));
}

/** What each stream must have seen, and nothing twice. */
async function seen(texts) {
  const expected = texts.flatMap((text) => Array.from({ length: STREAMS }, (_, n) => `${n} ${text}`)).sort();
  await page.waitForFunction((count) => globalThis.seen.length >= count, expected.length);
  assert.deepEqual(await page.evaluate(() => globalThis.seen.toSorted()), expected);
}

for (const kind of ["nginx", "caddy"]) {
  test(`behind ${kind}: many streams in one page, and a hub that is away for a while`, async () => {
    hub = await Hub.make({ TAMBOUR__AUTH__ALLOW_JWT_IN_QUERY: "true", TAMBOUR__SESSION__SSE_RETRY_MS: "500" });
    await hub.start();
    const { port } = hub;
    const token = await hub.token("alice");
    await hub.create(token, THREAD);
    proxy = await Proxy.start(kind, hub.url);
    await openStreams(token);
    const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
    assert.equal(protocol, "h2");
    await hub.publish(token, THREAD, ["live"]);
    await seen(["live"]);

    await hub.kill();
    // Each has lost its stream, asked again, and lost that one too: a plain 502 would be the end of them.
    await page.waitForFunction((times) => globalThis.failures >= times, STREAMS * 2);
    await hub.start(0);
    await hub.publish(token, THREAD, ["missed"]);
    await hub.kill();
    await hub.start(port);
    await hub.publish(token, THREAD, ["live again"]);
    await seen(["live", "missed", "live again"]);
    assert.deepEqual(await page.evaluate(() => globalThis.sources.filter((source) => source.readyState === EventSource.CLOSED).length), 0);
  });
}
