// The guide to token streams, followed in a browser: an answer that is shown as it is made, survives a reload in its
// middle, is the same in a second tab, and is stopped by an event.
//
// The example runs as its guide says, in a process of its own; only its port and its data directory are ours.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "./chromium.mjs";
import { Hub, freePort } from "./hub.mjs";

const START = fileURLToPath(new URL("../../examples/token-stream/start.mjs", import.meta.url));
// The end of the generator's answer: whoever has it has seen all of it.
const LAST_WORDS = "as an event of the same thread.";
// How often its first words are in it.
const PARTS = 3;

let browser;
let hub;
let example;
let url;

before(async () => {
  browser = await launch();
  const port = await freePort();
  hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: `http://127.0.0.1:${port}` });
  await hub.start();
  const env = { ...process.env, PORT: String(port), TOKENS_PER_SECOND: "30", TAMBOUR__STORE__DATA_DIR: hub.directory };
  example = spawn(process.execPath, [START, hub.url, "welcome"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: example.stdout }), "line");
  url = /open (\S+)/.exec(line)[1];
});

after(async () => {
  example?.kill();
  await browser?.close();
  await hub?.remove();
});

async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (said) => said.type() === "error" && page.complaints.push(said.text()));
  await page.goto(url);
  return page;
}

/** The texts on the page, without the buttons. */
const texts = (page) =>
  page.$$eval("#log article", (articles) => articles.map((article) => article.querySelector("span")?.textContent ?? ""));

/** Waits until the last answer has more than so many characters. */
const longer = (page, length) =>
  page.waitForFunction((length) => (document.querySelector("#log article:last-of-type")?.textContent.length ?? 0) > length, length);

async function ask(page, text) {
  await page.fill("#text", text);
  await page.click("#say button");
  await page.waitForSelector("#log article .stop");
}

test("an answer survives a reload, is the same in every tab, and can be stopped", async () => {
  const page = await open();
  await page.waitForFunction(() => document.querySelector("#log") !== null);
  await ask(page, "What is a tambour?");
  await longer(page, 60);
  const [before] = (await texts(page)).slice(-1);

  // Reloaded in the middle: what was there is there at once, and it goes on.
  await page.reload();
  await longer(page, before.length);
  const [since] = (await texts(page)).slice(-1);
  assert.ok(since.startsWith(before.trimEnd()), `${since} goes on behind ${before}`);

  // A second tab sees the same answer to its end, once.
  const second = await open();
  for (const tab of [page, second]) await tab.waitForFunction((words) => document.querySelector("#log").textContent.trimEnd().endsWith(words), LAST_WORDS);
  assert.deepEqual(await texts(second), await texts(page));
  const [whole] = (await texts(page)).slice(-1);
  assert.equal(whole.split("A tambour is the frame").length - 1, PARTS, "each part of the answer is there once");
  await page.waitForFunction(() => document.querySelector(".stop") === null);

  // Stopped from the second tab: the producer hears it, both tabs see the run end, and nothing more comes.
  await ask(page, "And again?");
  await longer(second, 40);
  await second.click("#log article .stop");
  for (const tab of [page, second]) await tab.waitForFunction(() => document.querySelector(".stop") === null);
  const stopped = await texts(page);
  assert.ok(stopped.at(-1).length < whole.length, "the answer was cut short");
  await page.reload();
  await page.waitForFunction((count) => document.querySelectorAll("#log article").length === count, stopped.length);
  assert.deepEqual(await texts(page), stopped);
  assert.deepEqual([...page.complaints, ...second.complaints], []);
});

test("an answer goes on through a crash of the hub in its middle", async () => {
  const page = await open();
  await ask(page, "And with a crash?");
  const [before] = (await texts(page)).slice(-1);
  await longer(page, 80);
  const { port } = hub;
  await hub.kill();
  await hub.start(port);
  // The run ends when all of it was sent again: nothing is lost of it, and nothing is there twice.
  await page.waitForFunction(() => document.querySelector(".stop") === null);
  const [whole] = (await texts(page)).slice(-1);
  assert.ok(whole.startsWith(before.trimEnd()) && whole.trimEnd().endsWith(LAST_WORDS), whole);
  assert.equal(whole.split("A tambour is the frame").length - 1, PARTS, "each part of the answer is there once");
  await page.reload();
  await page.waitForFunction((words) => document.querySelector("#log").textContent.trimEnd().endsWith(words), LAST_WORDS);
  assert.equal((await texts(page)).at(-1), whole);
});
