// The guide to a live dashboard, followed as it is written: its commands by bash, its page in a browser, over a crash of the hub
// and over the end of its stream token.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { Guide, WAIT_MS_MAX, eventually } from "./guide.mjs";
import { Hub, crashAndPublishMeanwhile, freePort } from "./hub.mjs";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
// How long a stream token lives at most: so the page needs several of them within the test.
const LIFE_SECONDS = 4;

let browser;
let guide;
let hub;
let pages;

before(async () => {
  browser = await launch();
  const pagesPort = await freePort();
  hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: `http://127.0.0.1:${pagesPort}`, TAMBOUR__TOKENS__LIFE_MAX_SECONDS: String(LIFE_SECONDS) });
  await hub.start();
  guide = await Guide.read("dashboard.md", hub, pagesPort);
  pages = await guide.serve(guide.line("Serve the page", "python3"));
});

after(async () => {
  pages?.kill();
  await browser?.close();
  await hub?.remove();
});

test("the page is small, and does what the guide says of it", async () => {
  const page = await readFile(new URL("../../examples/dashboard/index.html", import.meta.url), "utf8");
  const [, script] = /<script type="module">\n(.*)<\/script>/s.exec(page);
  const lines = (text) => text.split("\n").filter((line) => line.trim() !== "").length;
  assert.ok(lines(script) < 40 && lines(page) < 60, `it is read at a glance: ${lines(script)} of ${lines(page)} lines`);
  const shown = [...guide.text.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  assert.ok(shown.length > 0);
  for (const code of shown) assert.ok(script.includes(code), `the page has ${code}`);
});

test("it counts, follows a trace, and goes on over a crash and with a new token", async () => {
  const open = guide.commands("Open it");
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const made = [];
  page.on("response", (answer) => answer.url().endsWith("/v1/stream-tokens") && answer.request().method() === "POST" && made.push(answer.status()));
  await page.goto((await guide.bash(open)).trim().split("\n").at(-1));
  const state = (words) => page.waitForFunction((words) => document.querySelector("#state").textContent === words, words);
  const has = (list, text) => page.waitForFunction(([list, text]) => [...document.querySelectorAll(`#${list} li`)].some((entry) => entry.textContent === text), [list, text]);
  const shown = () => page.$$eval("#log li", (entries) => entries.filter((entry) => !entry.hidden).map((entry) => entry.textContent));
  await state("live");

  await guide.bash(open, guide.commands("See it work"));
  await has("types", "thread.created: 2");
  await has("types", "chat_message: 1");
  await has("topics", "thread/plan: 3");
  await has("topics", "canvas/sketch: 1");
  assert.ok((await shown()).some((entry) => entry.startsWith("chat_message thread/plan ") && entry.includes('"text":"hello"')));

  // One trace, in whatever topics: by typing its id, and by a click.
  await page.fill("#trace", TRACE);
  const ofTrace = (await shown()).map((entry) => entry.split(" ").slice(0, 2).join(" "));
  assert.deepEqual(ofTrace, ["canvas.created canvas/sketch", "note thread/plan"]);
  await page.fill("#trace", "");
  await page.click("#log li:first-child");
  assert.equal(await page.inputValue("#trace"), TRACE);
  await page.fill("#trace", "");

  // What is published while it looks, while the hub is away, and while its token ends: once each, in order.
  const jwt = await hub.token("alice");
  const texts = [];
  const publish = async (text) => texts.push(text) && hub.publish(jwt, "plan", [text]);
  await publish("live");
  texts.push("one", "two");
  await crashAndPublishMeanwhile(hub, jwt, "plan", ["one", "two"]);
  const before = made.length;
  let n = 0;
  await eventually(async () => {
    await publish(`n${(n += 1)}`);
    return made.filter((status) => status === 201).length >= before + 2;
  });
  await publish("the end");
  await has("types", `chat_message: ${texts.length + 1}`);
  const told = await page.$$eval("#log li", (entries) => entries.map((entry) => /^chat_message .*"text":"(.*)"/.exec(entry.textContent)?.[1]).filter(Boolean));
  assert.deepEqual(told.reverse(), ["hello", ...texts]);
});

test("who may not come in is told so", async () => {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  await page.goto(`http://127.0.0.1:${guide.pagesPort}/#hub=${hub.url}&tenant_id=t_demo&env=dev&token=none`);
  await page.waitForFunction(() => document.querySelector("#state").textContent === "refused: auth.token_invalid");
});
