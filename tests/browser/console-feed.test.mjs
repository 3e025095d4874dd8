// The feed and the sessions of the console, as people see them: what happens in two threads as it happens, what of it is
// asked for, one trace, a restart of the hub, and who is connected. Everything is done by a real hub in a real browser.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole, picture } from "./console.mjs";
import { ENV, Hub, TENANT, crashAndPublishMeanwhile } from "./hub.mjs";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

let browser;
let hub;
let ada;
let ben;

before(async () => {
  browser = await launch();
  // Each test asks more often than one person may.
  hub = await Hub.make({ TAMBOUR__RATES__PRINCIPAL_SHARE_PERCENT: "100" });
  await hub.start();
  [ada, ben] = await Promise.all([hub.token("ada"), hub.token("ben")]);
  for (const id of ["plan", "sketch"]) await hub.create(ada, id);
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

const rows = (page) => page.getByRole("listbox", { name: "Events" }).getByRole("option");
const field = (page, name) => page.getByRole("search", { name: "Filter the feed" }).getByLabel(name, { exact: true });
const live = (page) => page.locator('#state[data-state="live"]').waitFor();

/** Waits until the rows say exactly this, in order. */
async function says(page, texts) {
  const are = (texts) => JSON.stringify([...document.querySelectorAll(".feed-says")].map((row) => row.textContent)) === texts;
  await page.waitForFunction(are, JSON.stringify(texts)).catch(async (error) => {
    assert.deepEqual(await page.locator(".feed-says").allTextContents(), texts);
    throw error;
  });
}

/** Publishes one event, as a request of its own. */
async function publish(token, thread, event, headers = {}) {
  const answer = await fetch(`${hub.url}/v1/threads/${thread}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "x-env": ENV, "x-tenant-id": TENANT, ...headers },
    body: JSON.stringify(event),
  });
  assert.equal(answer.status, 201, await answer.text());
}

test("what happens in two threads is shown as it happens, and can be inspected by keys alone", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed?person=ben", { sub: "ada" });
  await live(page);
  await publish(ben, "plan", { type: "chat_message", data: { text: "<b>to the plan</b>" } });
  await publish(ben, "sketch", { type: "note", data: "to the sketch" });
  await says(page, ["<b>to the plan</b>", "to the sketch"]);

  await field(page, "Person").fill("");
  await rows(page).filter({ hasText: "thread.created" }).first().waitFor();
  assert.equal(new URL(page.url()).hash, "#/feed");

  const list = page.getByRole("listbox", { name: "Events" });
  await list.focus();
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  const inspector = page.getByRole("complementary", { name: "chat_message" });
  await inspector.getByRole("link", { name: "thread/plan" }).waitFor();
  assert.match(await inspector.getByRole("group", { name: "The event as JSON" }).textContent(), /"text": "<b>to the plan<\/b>"/);
  await page.keyboard.press("ArrowDown");
  await page.getByRole("complementary", { name: "note" }).waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await inspector.waitFor({ state: "detached" });
  assert.equal(await list.evaluate((rows) => rows === document.activeElement), true);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("types are filtered by the hub, and what can be no type is said", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed", { sub: "ada" });
  const asked = [];
  page.on("request", (request) => request.url().includes("/v1/feed") && asked.push(new URL(request.url()).searchParams.get("types")));
  await field(page, "Type").fill("thread.*");
  await page.waitForFunction(() => document.querySelectorAll(".feed-row").length === 3);
  await publish(ben, "plan", { type: "note", data: "not shown" });
  await hub.create(ada, "third");
  await rows(page).filter({ hasText: "thread/third" }).waitFor();
  assert.deepEqual(await page.locator(".feed-row .feed-type").allTextContents(), Array(4).fill("thread.created"));
  assert.ok(asked.includes("thread.*"), asked.join());

  await field(page, "Type").fill("No Type");
  await page.getByText("“No” is no type.").waitFor();
  assert.equal(await field(page, "Type").getAttribute("aria-invalid"), "true");
  await page.getByRole("button", { name: "Show everything" }).click();
  await rows(page).filter({ hasText: "not shown" }).waitFor();
  // The count of a type is a filter, too.
  await page.getByRole("button", { name: /^thread\.created 4$/ }).click();
  await page.waitForFunction(() => document.querySelectorAll(".feed-row").length === 4);
  assert.equal(await field(page, "Type").inputValue(), "thread.created");
  assert.deepEqual(complaints, []);
  await context.close();
});

test("paused, what comes is counted; resumed, it is there", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed?topic=thread/sketch&type=chat_message", { sub: "ada" });
  await live(page);
  await hub.publish(ben, "sketch", ["one"]);
  await says(page, ["one"]);
  await page.getByRole("button", { name: "Pause" }).click();
  await hub.publish(ben, "sketch", ["two", "three"]);
  await page.getByText("2 new").waitFor();
  await says(page, ["one"]);
  await page.getByRole("button", { name: "Resume" }).click();
  await says(page, ["one", "two", "three"]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("of a trace exactly its events are shown, in order, whatever their topics", async () => {
  const traced = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
  await publish(ada, "plan", { type: "note", data: "first of the trace" }, traced);
  await publish(ben, "plan", { type: "note", data: "of another" });
  await publish(ada, "sketch", { type: "chat_message", data: { text: "second of the trace" } }, traced);
  // From where only one topic is shown.
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed?topic=plan", { sub: "ada" });
  await rows(page).filter({ hasText: "first of the trace" }).click();
  await page.getByRole("button", { name: "Follow this trace" }).click();
  await says(page, ["first of the trace", "second of the trace"]);
  assert.equal(new URL(page.url()).hash, `#/feed?trace=${TRACE}`);
  await publish(ben, "welcome", { type: "note", data: "third of the trace" }, traced);
  await publish(ben, "welcome", { type: "note", data: "of nobody" });
  await says(page, ["first of the trace", "second of the trace", "third of the trace"]);
  // A link to it shows the same.
  const other = await openConsole(browser, hub, `#/feed?trace=${TRACE}`, { sub: "ada" });
  await says(other.page, ["first of the trace", "second of the trace", "third of the trace"]);
  await page.goBack();
  await rows(page).filter({ hasText: "of another" }).waitFor();
  assert.deepEqual([...complaints, ...other.complaints], []);
  await Promise.all([context.close(), other.context.close()]);
});

test("a restart of the hub loses nothing and doubles nothing", async () => {
  await hub.create(ada, "lasting");
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed?topic=lasting&type=chat_message", { sub: "ada" });
  await live(page);
  await hub.publish(ada, "lasting", ["a"]);
  await says(page, ["a"]);
  await crashAndPublishMeanwhile(hub, ada, "lasting", ["b", "c"]);
  await hub.publish(ada, "lasting", ["d"]);
  await says(page, ["a", "b", "c", "d"]);
  await live(page);
  // Also where it was not there when the page was opened.
  const { port } = hub;
  await hub.kill();
  await page.evaluate(() => (location.hash = "#/feed?topic=lasting"));
  await page.locator('#state[data-state="away"]').waitFor();
  await hub.start(port);
  await rows(page).filter({ hasText: "thread.created" }).waitFor();
  await live(page);
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
});

test("earlier events come before those that are shown", async () => {
  await hub.create(ada, "long");
  const texts = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}`);
  await hub.publish(ada, "long", texts(1, 350));
  const { page, complaints, context } = await openConsole(browser, hub, "#/feed?topic=long&type=chat_message", { sub: "ada" });
  await says(page, texts(151, 350));
  await page.getByRole("button", { name: "Earlier" }).click();
  await says(page, texts(1, 350));
  await page.getByText("This is the first that is kept.").waitFor();
  // What was read stays where it was, also when something comes.
  await page.locator(".feed-scroll").evaluate((box) => (box.scrollTop = 0));
  await page.getByRole("button", { name: "Newest" }).waitFor();
  await hub.publish(ada, "long", ["line 351"]);
  await says(page, texts(1, 351));
  assert.equal(await page.locator(".feed-scroll").evaluate((box) => box.scrollTop), 0);
  await page.getByRole("button", { name: "Newest" }).click();
  await page.getByRole("button", { name: "Newest" }).waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the feed is for everybody, ${colorScheme}, wide and narrow`, async () => {
    const { page, complaints, context } = await openConsole(browser, hub, `#/feed?trace=${TRACE}`, { sub: "ada", colorScheme });
    await rows(page).first().waitFor();
    await accessible(page);
    await page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    await rows(page).last().click();
    await page.getByRole("dialog", { name: "note" }).waitFor();
    await accessible(page);
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement?.id === "feed-rows");
    if (colorScheme === "light") {
      await page.setViewportSize({ width: 1200, height: 760 });
      await page.evaluate(() => (location.hash = "#/feed?type=note,thread.*"));
      await rows(page).filter({ hasText: "second of the trace" }).waitFor({ state: "detached" });
      await rows(page).filter({ hasText: "first of the trace" }).click();
      await picture(page, "feed");
    }
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

/** A reader who takes nothing: its stream is opened, and its socket is not read from. */
async function sleeper(token, thread) {
  const socket = connect(hub.port, "127.0.0.1");
  const head = [`GET /v1/threads/${thread}/events HTTP/1.1`, `Host: 127.0.0.1:${hub.port}`, `Authorization: Bearer ${token}`, `X-Tenant-Id: ${TENANT}`, `X-Env: ${ENV}`, "Accept: text/event-stream"];
  await new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", resolve);
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
  });
  socket.pause();
  return socket;
}

test("who is connected is listed, how far they are behind, and can be ended", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/sessions", { sub: "ada" });
  const reading = await openConsole(browser, hub, "#/feed", { sub: "ada" });
  const slow = await sleeper(ben, "sketch");
  const row = (name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
  await row(/^ada you/).getByRole("link", { name: "feed" }).waitFor();
  await row(/^ben/).getByText("thread/sketch").waitFor();

  for (let part = 0; part < 4; part++) await hub.publish(ada, "sketch", Array(100).fill("x".repeat(60_000)));
  await row(/^ben/).getByText(/^\d+ behind$/).waitFor();
  await accessible(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page);
  await page.emulateMedia({ colorScheme: "light" });
  await picture(page, "sessions");

  // What has the focus keeps it while the list is renewed.
  const end = row(/^ben/).getByRole("button", { name: /^End this session of ben/ });
  await end.focus();
  for (let times = 0; times < 2; times++) await page.waitForResponse((answer) => answer.url().includes("/v1/sessions"));
  assert.equal(await end.evaluate((button) => button === document.activeElement), true);

  await page.keyboard.press("Enter");
  const asked = page.getByRole("dialog", { name: "End this session of ben?" });
  await asked.getByRole("button", { name: "Cancel" }).click();
  await end.click();
  await asked.getByRole("button", { name: "End", exact: true }).click();
  await row(/^ben/).waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement?.classList.contains("sessions"));
  slow.destroy();

  const again = await Promise.all(["plan", "sketch"].map((thread) => sleeper(ben, thread)));
  await page.getByLabel("Person").fill("ben");
  await page.getByText("2 sessions").waitFor();
  await page.getByRole("button", { name: "End all of ben" }).click();
  await page.getByRole("dialog", { name: "End all sessions of ben?" }).getByRole("button", { name: "End all" }).click();
  await page.getByText("Nobody called ben is connected.").waitFor();
  for (const socket of again) socket.destroy();
  assert.deepEqual([...complaints, ...reading.complaints], []);
  await Promise.all([context.close(), reading.context.close()]);
});

test("who may see only their own is told so", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, `#/sessions?token=${ben}&tenant=${TENANT}&env=${ENV}`);
  const own = await sleeper(ben, "plan");
  await page.getByText("These are your own.").waitFor();
  await page.getByLabel("Person").fill("ada");
  await page.getByText(/^permission\.denied/).waitFor();
  own.destroy();
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
});
