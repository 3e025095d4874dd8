// The console's Overview in a real browser: its plots move with what goes on in the hub, over a restart too, and it says
// what it may not show. Every wait is for something that a reader sees.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole, picture } from "./console.mjs";
import { Hub } from "./hub.mjs";

const THREAD = "welcome";
let browser;

before(async () => (browser = await launch()));
after(() => browser?.close());

/** Runs with a hub of its own. */
async function withHub(run) {
  const hub = await Hub.make();
  try {
    await hub.start();
    await run(hub);
  } finally {
    await hub.remove();
  }
}

/** Waits until the number now of a plot is more than `least`. */
function above(page, of, least) {
  const number = ([of, least]) => Number(document.querySelector(`[data-of="${of}"] b`)?.textContent.replace(",", "")) > least;
  return page.waitForFunction(number, [of, least]);
}

/** How much of a plot's line is in the upper half of its canvas. */
function inked(page, title) {
  return page.evaluate((title) => {
    const card = [...document.querySelectorAll(".plot")].find((one) => one.querySelector("h2").textContent === title);
    const canvas = card.querySelector("canvas");
    const [red, green, blue] = getComputedStyle(document.documentElement).getPropertyValue("--plot-1").trim().slice(1).match(/../g).map((two) => parseInt(two, 16));
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, Math.floor(canvas.height / 2));
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
      const near = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 48;
      if (near && data[at + 3] > 160) found += 1;
    }
    return found;
  }, title);
}

/** Publishes until `seen` is there. */
async function publishingUntil(hub, seen) {
  const token = await hub.token("writer");
  let over = false;
  const stop = () => (over = true);
  seen.then(stop, stop);
  for (let count = 0; !over; count += 1) await hub.publish(token, THREAD, [`number ${count}`]);
  await seen;
}

/** Another page that reads the thread, as any page does. */
async function reading(hub, sub) {
  const { page, complaints } = await openConsole(browser, hub, "#/overview", { sub });
  await page.locator("#state[data-state=live]").waitFor();
  await page.evaluate(
    async ([url, token, thread]) => {
      const { Hub } = await import("/client.js");
      const own = new Hub({ url, tenant: "t_demo", env: "dev", token, storage: false });
      globalThis.reading = own.topic(`thread/${thread}`).subscribe({ last: 0 }, {});
    },
    [hub.url, await hub.token(sub), THREAD],
  );
  await page.waitForFunction(() => globalThis.reading.state === "live");
  return { page, complaints };
}

test("an empty hub invites; readers and events move the plots", () =>
  withHub(async (hub) => {
    const { page, complaints } = await openConsole(browser, hub, "#/overview", { sub: "ada" });
    const invite = page.getByRole("link", { name: "Open the thread welcome in a second tab" });
    assert.match(await invite.getAttribute("href"), /#\/threads\/welcome$/);
    await page.getByText("Memory", { exact: true }).waitFor();
    await accessible(page);
    assert.equal(await inked(page, "Deliveries"), 0);

    const other = await reading(hub, "ben");
    await above(page, "connections", 0);
    const more = [await reading(hub, "cleo"), other];
    await above(page, "connections", 1);
    await invite.focus();
    const moved = Promise.all([above(page, "eventsPerSecond", 0), above(page, "deliveriesPerSecond", 0), above(page, "p99Ms", 0), above(page, "commitMs", 0)]);
    await publishingUntil(hub, moved);
    await page.waitForFunction(() => !document.querySelector(".invite"));
    assert.equal(await page.evaluate(() => document.activeElement.id), "main", "focus is not lost with the invitation");
    await page.mouse.move(0, 0);
    assert.ok((await inked(page, "Deliveries")) > 0, "the line of the deliveries rises");
    const label = await page.getByRole("img", { name: /^Deliveries: / }).getAttribute("aria-label");
    assert.match(label, /most [1-9][\d.,]*K?\/s in the last 5 minutes\.$/);
    await picture(page, "overview");
    await accessible(page);
    for (const one of more) await one.page.context().close();
    await page.waitForFunction(() => document.querySelector('[data-of="connections"] b').textContent === "0");
    assert.deepEqual([...complaints, ...more.flatMap((one) => one.complaints)], []);
  }));

test("a restart of the hub leaves the page going on, with the numbers of the new one", () =>
  withHub(async (hub) => {
    const { page, complaints } = await openConsole(browser, hub, "#/overview", { sub: "ada", colorScheme: "dark" });
    const since = page.locator(".facts time");
    const began = await since.getAttribute("datetime");
    await publishingUntil(hub, above(page, "eventsPerSecond", 0));
    const { port } = hub;
    await hub.kill();
    await page.locator("#state[data-state=away]").waitFor();
    await page.getByText("These are the last numbers").waitFor();
    assert.equal(await since.getAttribute("datetime"), began);
    await accessible(page);

    await hub.start(port);
    await page.locator("#state[data-state=live]").waitFor();
    await page.waitForFunction((began) => document.querySelector(".facts time").dateTime !== began, began);
    await publishingUntil(hub, above(page, "eventsPerSecond", 0));
    const labels = await page.getByRole("img").evaluateAll((all) => all.map((one) => one.ariaLabel));
    assert.ok(labels.every((label) => !/[-−]\d/.test(label)), labels.join("\n"));
    await accessible(page);
    assert.deepEqual(complaints.filter((one) => !ofTheNetwork(one)), []);
  }));

test("keys choose whose numbers they are; the address knows it, and a change of colours redraws", () =>
  withHub(async (hub) => {
    const { page, complaints } = await openConsole(browser, hub, "#/overview", { sub: "ada" });
    const memory = page.getByRole("heading", { name: "Memory" });
    await memory.waitFor();
    await page.getByRole("radio", { name: "Whole hub" }).focus();
    await page.keyboard.press("ArrowRight");
    await memory.waitFor({ state: "detached" });
    assert.match(page.url(), /of=scope$/);
    assert.equal(await page.evaluate(() => document.activeElement.parentElement.textContent), "This tenant and env");
    await page.reload();
    await page.getByRole("heading", { name: "Connections" }).waitFor();
    assert.equal(await memory.count(), 0);
    await page.goBack();
    await memory.waitFor();

    await page.emulateMedia({ colorScheme: "dark" });
    await page.getByRole("heading", { name: "Connections" }).waitFor();
    await reading(hub, "ben");
    await above(page, "connections", 0);
    await page.waitForFunction(() => document.querySelectorAll(".plot canvas").length === document.querySelectorAll(".plot").length);
    assert.ok((await inked(page, "Connections")) > 0, "the line has the dark theme’s colour");
    assert.deepEqual(complaints, []);
  }));

test("a narrow screen scrolls one way only", () =>
  withHub(async (hub) => {
    const { page } = await openConsole(browser, hub, "#/overview", { sub: "ada", viewport: { width: 360, height: 700 } });
    await page.getByRole("heading", { name: "Memory" }).waitFor();
    const wide = await page.evaluate(() => [document.documentElement, document.querySelector("main")].map((one) => one.scrollWidth - one.clientWidth));
    assert.deepEqual(wide, [0, 0]);
    await accessible(page);
  }));

test("nothing is asked while nobody can see the page", () =>
  withHub(async (hub) => {
    const hidden = await openConsole(browser, hub, "#/overview", { sub: "ada" });
    const seen = await openConsole(browser, hub, "#/overview", { sub: "ben" });
    let asked = 0;
    await hidden.page.getByRole("heading", { name: "Connections" }).waitFor();
    const show = (state) =>
      hidden.page.evaluate((state) => {
        Object.defineProperty(document, "visibilityState", { configurable: true, value: state });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    await show("hidden");
    hidden.page.on("request", (request) => (asked += request.url().endsWith("/v1/stats") ? 1 : 0));
    // As long as another page takes to ask four times.
    for (let count = 0; count < 4; count += 1) await seen.page.waitForResponse(/\/v1\/stats$/);
    assert.equal(asked, 0);
    const again = hidden.page.waitForResponse(/\/v1\/stats$/);
    await show("visible");
    assert.equal((await again).status(), 200);
  }));

test("who may not see the numbers is told why, and what can be known", () =>
  withHub(async (hub) => {
    const token = await hub.token("mia");
    const { page, complaints } = await openConsole(browser, hub, `#/overview?token=${token}&tenant=t_demo&env=dev`);
    await page.getByText("stats:read").waitFor();
    await page.getByRole("row", { name: /^Yours \d+ 50$/ }).waitFor();
    await accessible(page);
    assert.deepEqual(complaints.filter((one) => !ofTheNetwork(one)), []);
  }));

test("an admin of another tenant sees that tenant alone", () =>
  withHub(async (hub) => {
    await hub.publish(await hub.token("writer"), THREAD, ["not theirs"]);
    const token = await hub.token("olga", { tenant: "t_other", role: "admin" });
    const { page, complaints } = await openConsole(browser, hub, `#/overview?token=${token}&tenant=t_other&env=dev`);
    await page.getByRole("heading", { name: "Events" }).waitFor();
    assert.equal(await page.getByRole("heading", { name: "Memory" }).count(), 0);
    assert.equal(await page.getByRole("radio").count(), 0);
    assert.match(await page.locator(".facts").textContent(), /Events since then0/);
    assert.deepEqual(complaints, []);
  }));
