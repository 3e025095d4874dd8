// A page with a stream token in the URL of its EventSource, as a browser runs it: over a crash of the hub, and with a second
// tab of the same URL.
//
// Nothing here waits for time to pass: every wait is for something that a reader would see.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { Hub, crashAndPublishMeanwhile } from "./hub.mjs";

const THREAD = "operator";
const WAIT_MS_MAX = 60_000;

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** A tab that reads a URL by a native EventSource. */
async function open(hub, url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  // Any page of the hub's origin that runs nothing of its own.
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate((url) => {
    Object.assign(globalThis, { seen: [], opened: 0, replaced: 0, states: [] });
    globalThis.source = new EventSource(url);
    const { source } = globalThis;
    source.addEventListener("connected", () => (globalThis.opened += 1));
    source.addEventListener("replaced", () => (globalThis.replaced += 1));
    source.addEventListener("chat_message", ({ data }) => globalThis.seen.push(JSON.parse(data).data.text));
    source.onerror = () => globalThis.states.push(source.readyState);
  }, url);
  await page.waitForFunction(() => globalThis.opened === 1);
  return page;
}

/** Waits until a tab has so many texts, then wants them to be exactly those. */
async function seen(page, expected) {
  await page.waitForFunction((count) => globalThis.seen.length >= count, expected.length);
  assert.deepEqual(await page.evaluate(() => globalThis.seen), expected);
}

test("one URL goes on over crashes, and two tabs with it do not chase each other", async () => {
  const hub = await Hub.make();
  try {
    await hub.start();
    const jwt = await hub.token("alice");
    await hub.create(jwt, THREAD);
    const { token } = await hub.post(jwt, "/v1/stream-tokens", { topics: [`thread/${THREAD}`] });
    const url = `/v1/threads/${THREAD}/events?token=${token}`;

    const tab = await open(hub, url);
    const texts = ["live"];
    await hub.publish(jwt, THREAD, texts);
    await seen(tab, texts);
    for (const round of ["first", "second"]) {
      const missed = [1, 2, 3].map((n) => `${round} crash ${n}`);
      await crashAndPublishMeanwhile(hub, jwt, THREAD, missed);
      texts.push(...missed);
      await seen(tab, texts);
    }

    const other = await open(hub, url);
    await tab.waitForFunction(() => globalThis.replaced === 1 && globalThis.states.length > 0);
    const openedBefore = await tab.evaluate(() => globalThis.opened);
    await hub.publish(jwt, THREAD, ["for the newer tab"]);
    await seen(other, ["for the newer tab"]);
    // The older one waits, for a day, and has nothing of it.
    assert.equal(await tab.evaluate(() => globalThis.source.readyState), 0);
    assert.equal(await tab.evaluate(() => globalThis.opened), openedBefore);
    assert.equal(await other.evaluate(() => globalThis.replaced), 0);
    await seen(tab, texts);
  } finally {
    await hub.remove();
  }
});

test("an EventSource whose token is none gives up", async () => {
  const hub = await Hub.make();
  try {
    await hub.start();
    const jwt = await hub.token("alice");
    await hub.create(jwt, THREAD);
    const page = await browser.newPage();
    await page.goto(`${hub.url}/healthz`);
    const state = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const source = new EventSource(url);
          source.onerror = () => resolve(source.readyState);
        }),
      `/v1/threads/${THREAD}/events?token=tst_${"A".repeat(43)}`,
    );
    assert.equal(state, 2, "it is closed, and does not ask again and again");
  } finally {
    await hub.remove();
  }
});
