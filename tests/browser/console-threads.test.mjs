// Threads in the console, in a browser: two people and a model in one conversation, through a lost network, a crash and a
// reload; by keyboard alone; and what may be done with a thread. What is waited for is what a reader sees.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startModel } from "../../examples/token-stream/model.mjs";
import { Producer } from "../../examples/token-stream/producer.mjs";
import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole, picture } from "./console.mjs";
import { crashAndPublishMeanwhile, ENV, Hub, TENANT } from "./hub.mjs";

let browser;
let hub;
let token;

before(async () => {
  browser = await launch();
  hub = await Hub.make();
  await hub.start();
  token = await hub.token("robot");
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

/** A thread of its own, and who talks in it, each in a browser of their own. */
async function talk(id, ...people) {
  await hub.create(token, id);
  const opened = [];
  for (const sub of people) opened.push(await openConsole(browser, hub, `#/threads/${id}`, { sub }));
  for (const { page } of opened) await page.getByText("Nothing has been said here yet.").waitFor();
  return opened;
}

const close = (...opened) => Promise.all(opened.map(({ context }) => context.close()));

/** What is shown as said, in order, without what is on its way. */
const texts = (page) => page.$$eval(".said:not(.outgoing) .text", (all) => all.map((one) => one.textContent));

/** Waits until so many texts are shown, and nothing is on its way. */
async function shows(page, count) {
  await page.waitForFunction(
    (count) => document.querySelectorAll(".said:not(.outgoing) .text").length >= count && document.querySelector(".outgoing") === null,
    count,
  );
  return texts(page);
}

async function say(page, text) {
  await page.fill("#say", text);
  await page.press("#say", "Enter");
}

const numbers = (name, count) => Array.from({ length: count }, (_, at) => `${name} ${at + 1}`);

test("two people talk; what looks like markup is text", async () => {
  const [ada, ben] = await talk("two", "ada", "ben");
  await say(ada.page, "Is the release still today?");
  await shows(ben.page, 1);
  await ben.page.fill("#say", "At four.");
  await ben.page.press("#say", "Shift+Enter");
  await ben.page.type("#say", "<img src=x onerror=alert(1)> <b>not bold</b>");
  await ben.page.press("#say", "Enter");
  await shows(ada.page, 2);
  await say(ben.page, "مرحبا");
  const said = ["Is the release still today?", "At four.\n<img src=x onerror=alert(1)> <b>not bold</b>", "مرحبا"];
  for (const { page } of [ada, ben]) assert.deepEqual(await shows(page, 3), said);
  assert.equal(await ada.page.locator(".log img, .log b").count(), 0);
  assert.equal(await ada.page.locator(".said").last().getAttribute("data-more"), "true", "what one person says stands together");
  await accessible(ada.page);
  await ben.page.emulateMedia({ colorScheme: "dark" });
  await accessible(ben.page);
  assert.deepEqual([...ada.complaints, ...ben.complaints], []);
  await close(ada, ben);
});

test("who was offline has missed nothing, and what they wrote arrives once", async () => {
  const [ada, ben] = await talk("offline", "ada", "ben");
  await say(ada.page, "before");
  await shows(ben.page, 1);
  await ada.context.setOffline(true);
  await ada.page.getByText("This browser is offline.").waitFor();
  await say(ada.page, "written offline, one");
  await say(ada.page, "written offline, two");
  await ada.page.getByText("2 messages wait and are sent by themselves.").waitFor();
  for (const text of numbers("line", 60)) await say(ben.page, text);
  await shows(ben.page, 61);
  // The connection was found to be dead, not only the network.
  await ada.page.locator("#state[data-state=away]").waitFor();
  await ada.context.setOffline(false);
  const said = ["before", ...numbers("line", 60), "written offline, one", "written offline, two"];
  assert.deepEqual((await shows(ada.page, 63)).slice(-63), said);
  assert.deepEqual((await shows(ben.page, 63)).slice(-63), said);
  await ada.page.locator("#state[data-state=live]").waitFor();
  assert.deepEqual(ada.complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await close(ada, ben);
});

test("a crash of the hub: both go on by themselves, and what was typed is there", async () => {
  const [ada, ben] = await talk("crash", "ada", "ben");
  await say(ada.page, "before");
  await shows(ben.page, 1);
  await ben.page.fill("#say", "half a sent");
  await crashAndPublishMeanwhile(hub, token, "crash", numbers("meanwhile", 20));
  for (const { page } of [ada, ben]) assert.deepEqual(await shows(page, 21), ["before", ...numbers("meanwhile", 20)]);
  // Written while it is away.
  const { port } = hub;
  await hub.kill();
  await ada.page.locator("#state[data-state=away]").waitFor();
  await say(ada.page, "to a hub that is away");
  await ada.page.getByText("1 message waits and is sent by itself.").waitFor();
  await hub.start(port);
  for (const { page } of [ada, ben]) assert.equal((await shows(page, 22)).at(-1), "to a hub that is away");
  await ben.page.type("#say", "ence");
  await ben.page.reload();
  await ben.page.waitForFunction(() => document.querySelector("#say")?.value === "half a sentence");
  assert.equal((await shows(ben.page, 22)).length, 22);
  assert.deepEqual([...ada.complaints, ...ben.complaints].filter((complaint) => !ofTheNetwork(complaint)), []);
  await close(ada, ben);
});

test("a model’s answer grows, survives a reload, and is stopped by another", async () => {
  const [ada, ben] = await talk("model", "ada", "ben");
  // Slow enough to be looked at while it answers.
  const model = await startModel({ tokensPerSecond: 8 });
  const over = new AbortController();
  const headers = { Authorization: `Bearer ${await hub.token("model")}`, "X-Tenant-Id": TENANT, "X-Env": ENV };
  try {
    const answer = ".said:last-of-type .text";
    await say(ben.page, "Morning! Is the release still planned for today?");
    await shows(ada.page, 1);
    await say(ada.page, "At four, the last fix is in review.");
    await say(ada.page, "Let’s ask what it is that we release.");
    await shows(ben.page, 3);
    // It hears what is said from now on.
    void new Producer({ hub: hub.url, thread: "model", headers, model: model.url }).run(over.signal);
    const longer = (page, length) => page.waitForFunction(([answer, length]) => (document.querySelector(answer)?.textContent.length ?? 0) > length, [answer, length]);
    // The model may not listen yet when the first is asked.
    for (let asked = 0; (await ada.page.locator(".stop").count()) === 0; asked++) {
      assert.ok(asked < 20, "the model answers");
      await say(ada.page, "What is a tambour?");
      await ada.page.locator(".stop").first().waitFor({ timeout: 3_000 }).catch(() => {});
    }
    await longer(ada.page, 60);
    assert.equal(await ada.page.locator("article[aria-busy=true][aria-live=off] .stop").count(), 1, "what grows is not read aloud");
    await ada.page.reload();
    const before = (await ben.page.locator(answer).textContent()).trimEnd();
    await longer(ada.page, before.length);
    assert.ok((await ada.page.locator(answer).textContent()).startsWith(before), "it goes on where it was");
    // The same button while words come: who is about to press it does not miss it.
    const kept = await ben.page.locator(".stop").elementHandle();
    const length = (await ben.page.locator(answer).textContent()).length;
    await longer(ben.page, length + 20);
    assert.ok(await kept.evaluate((element) => element.isConnected));
    await picture(ben.page, "thread");
    await accessible(ben.page);
    await kept.focus();
    await ben.page.keyboard.press("Enter");
    for (const { page } of [ada, ben]) await page.getByText("stopped by ben").waitFor();
    assert.equal(await ben.page.evaluate(() => document.activeElement?.id), "say", "the focus is not lost with the button");
    await ben.page.getByRole("status").getByText("model has answered: A tambour is the frame").waitFor({ state: "attached" });
    assert.equal(await ada.page.locator(answer).textContent(), await ben.page.locator(answer).textContent());
    assert.deepEqual([...ada.complaints, ...ben.complaints], []);
  } finally {
    over.abort();
    model.server.closeAllConnections();
    model.server.close();
    await close(ada, ben);
  }
});

test("who reads further up stays there, and is told what is new; what is earlier is there when it is asked for", async () => {
  await hub.create(token, "long");
  await hub.publish(token, "long", numbers("early", 250));
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads/long", { sub: "ada" });
  await page.getByText("early 250", { exact: true }).waitFor();
  const top = () => page.$eval(".log", (log) => [...log.querySelectorAll(".said")].find((one) => one.getBoundingClientRect().bottom > log.getBoundingClientRect().top + 1).textContent);
  const oldest = () => page.getByText("early 201", { exact: true }).evaluate((one) => one.closest(".said").getBoundingClientRect().top);
  await page.$eval(".log", (log) => (log.scrollTop = 0));
  await page.getByRole("button", { name: "To the newest" }).waitFor();
  const at = await oldest();
  await page.getByRole("button", { name: "Show earlier" }).click();
  await page.getByText("early 120", { exact: true }).waitFor({ state: "attached" });
  assert.ok(Math.abs((await oldest()) - at) < 2, "what was the oldest is where it was");
  await page.$eval(".log", (log) => (log.scrollTop = 800));
  await page.getByRole("button", { name: "To the newest" }).waitFor();
  const read = await top();
  await hub.publish(token, "long", ["new one", "new two"]);
  await page.getByRole("button", { name: "2 new messages" }).waitFor();
  assert.equal(await top(), read);
  await page.$eval(".earlier button", (button) => button.click());
  await page.getByText("early 1", { exact: true }).waitFor();
  assert.equal(await top(), read, "what is added above moves nothing");
  await page.getByRole("button", { name: "2 new messages" }).click();
  await page.waitForFunction(() => document.querySelector(".to-end") === null);
  assert.deepEqual(await texts(page), [...numbers("early", 250), "new one", "new two"]);
  assert.equal(await page.getByRole("button", { name: "Show earlier" }).count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("by keyboard alone: a thread is made, written in, changed, closed and deleted", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads", { sub: "ada" });
  const key = (...keys) => keys.reduce((before, one) => before.then(() => page.keyboard.press(one)), Promise.resolve());
  const on = async (name) => {
    for (let steps = 0; steps < 80; steps++) {
      const is = await page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.closest("label")?.querySelector("span")?.textContent ?? document.activeElement?.textContent);
      if (is?.trim() === name) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${name} is not reached by Tab`);
  };
  await page.getByRole("button", { name: "New thread" }).waitFor();
  await on("New thread");
  await key("Enter");
  await page.getByRole("dialog", { name: "New thread" }).waitFor();
  await key("Escape");
  await page.waitForFunction(() => document.activeElement?.textContent === "New thread");
  await key("Enter");
  await page.getByRole("dialog", { name: "New thread" }).waitFor();
  await on("Title");
  await page.keyboard.type("Größe & <Plan>");
  await on("Id");
  await page.keyboard.type("by-keyboard");
  await key("Enter");
  await page.waitForFunction(() => document.activeElement?.id === "say");
  await page.keyboard.type("hello");
  await key("Enter");
  assert.deepEqual(await shows(page, 1), ["hello"]);

  await key("Shift+Tab");
  await on("Manage");
  await key("Enter");
  await page.getByRole("dialog", { name: "About this thread" }).waitFor();
  await accessible(page);
  await on("Title");
  await key("Control+A");
  await page.keyboard.type("Another title");
  await key("Enter");
  await page.getByText("Saved.").waitFor();
  await on("Let somebody in");
  await page.keyboard.type("ben/ä");
  await key("Enter");
  await page.getByRole("button", { name: "Remove ben/ä" }).waitFor();
  await page.getByRole("button", { name: "Remove ben/ä" }).focus();
  await key("Enter");
  await page.getByText("Nobody was let in by name.").waitFor();
  await on("Close the thread…");
  await key("Enter");
  await on("Close it");
  await key("Enter");
  await page.getByText("This thread is closed.").waitFor();
  assert.equal(await page.locator("#say").count(), 0);
  assert.equal(await page.locator(".top-line h2").textContent(), "Another title");
  await accessible(page);
  await on("Manage");
  await key("Enter");
  await on("Delete the thread…");
  await key("Enter");
  await on("Delete it");
  await key("Enter");
  await page.getByText("Choose a thread, or make one.").waitFor();
  await page.waitForFunction(() => !document.querySelector(".list")?.textContent.includes("Another title"));
  assert.deepEqual(complaints, []);
  await context.close();
});

test("in a narrow window: the list, then the thread, and back", async () => {
  const viewport = { width: 360, height: 640 };
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads", { sub: "ada", viewport, colorScheme: "dark" });
  const fits = async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the window");
  await page.getByRole("link", { name: "Welcome to Tambour" }).waitFor();
  await accessible(page);
  await fits();
  await page.getByRole("link", { name: "Welcome to Tambour" }).press("Enter");
  await page.getByText("No model answers here yet.").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Welcome to Tambour", "the focus goes with the view");
  await accessible(page);
  await fits();
  await page.getByRole("link", { name: "All threads" }).press("Enter");
  await page.waitForFunction(() => document.activeElement?.textContent === "Threads");
  assert.deepEqual(complaints, []);
  await context.close();
});

test("who may not read any more is told, and may write nothing", async () => {
  const id = "private";
  await hub.post(token, "/v1/threads", { id, visibility: "private", members: [{ sub: "ben" }] });
  const as = async (sub) => {
    const route = `#/threads/${id}?${new URLSearchParams({ token: await hub.token(sub), tenant: TENANT, env: ENV })}`;
    return openConsole(browser, hub, route);
  };
  const cleo = await as("cleo");
  await cleo.page.getByText("You may not read this thread.").waitFor();
  assert.equal(await cleo.page.locator("#say").count(), 0);
  const ben = await as("ben");
  await ben.page.getByText("Nothing has been said here yet.").waitFor();
  await say(ben.page, "still here");
  await shows(ben.page, 1);
  const headers = { authorization: `Bearer ${token}`, "x-tenant-id": TENANT, "x-env": ENV };
  assert.equal((await fetch(`${hub.url}/v1/threads/${id}/members/ben`, { method: "DELETE", headers })).status, 204);
  await ben.page.getByText("You may not read this thread any more.").waitFor();
  assert.equal(await ben.page.locator("#say").count(), 0);
  assert.deepEqual([...cleo.complaints, ...ben.complaints].filter((complaint) => !ofTheNetwork(complaint)), []);
  await close(cleo, ben);
});

test("what can’t be read, and what is refused, is said", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads/nowhere", { sub: "ada" });
  await page.getByText("There is no thread with this id, or not any more.").waitFor();
  assert.equal(await page.locator("#say").count(), 0);
  await hub.create(token, "going");
  await page.goto(`${hub.url}/#/threads/going`);
  await page.getByText("Nothing has been said here yet.").waitFor();
  // Longer than the hub takes: it stays, with the hub's words, to be taken back.
  await say(page, "x".repeat(70_000));
  await page.locator(".outgoing .refused").waitFor();
  await page.getByRole("button", { name: "Take back" }).click();
  assert.equal((await page.inputValue("#say")).length, 70_000);
  await accessible(page);
  const answer = await fetch(`${hub.url}/v1/threads/going`, { method: "DELETE", headers: { authorization: `Bearer ${token}`, "x-tenant-id": TENANT, "x-env": ENV } });
  assert.equal(answer.status, 204);
  await page.getByText("This thread was deleted.").waitFor();
  assert.equal(await page.locator("#say").count(), 0);
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
});
