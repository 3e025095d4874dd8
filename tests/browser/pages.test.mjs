// Pages of somebody's own, as README and examples/chat have them: served from another origin, used by two people, over
// restarts of the hub. Nothing of a page is repeated here; only addresses are the test's.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, test } from "node:test";

import { launch } from "./chromium.mjs";
import { eventually, WAIT_MS_MAX } from "./guide.mjs";
import { ENV, Hub, TENANT } from "./hub.mjs";

const root = new URL("../../", import.meta.url);
let browser, files, server, origin, hub;

before(async () => {
  browser = await launch();
  server = createServer((request, response) => {
    const text = files[new URL(request.url, origin).pathname.slice(1)];
    response.writeHead(text === undefined ? 404 : 200, { "content-type": request.url.endsWith("token") ? "text/plain" : "text/html" });
    response.end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${server.address().port}`;
});

after(async () => {
  await browser?.close();
  server?.close();
});

beforeEach(async () => {
  hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: origin });
  await hub.start();
  files = { "favicon.ico": "" };
});

afterEach(() => hub.remove());

async function tab(path) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.wrong = [];
  await page.goto(`${origin}/${path}`);
  return page;
}

async function say(page, text) {
  await page.locator("#say input").fill(text);
  await page.locator("#say input").press("Enter");
}

async function shows(page, expected) {
  await page.waitForFunction((count) => document.querySelectorAll("#log li").length >= count, expected.length);
  assert.deepEqual(await page.locator("#log li").allTextContents(), expected);
}

test("the ten lines of README: two tabs chat, and go on over a restart, with what was typed meanwhile", async () => {
  const readme = await readFile(new URL("README.md", root), "utf8");
  const [, lines] = /## In your own page.*?```html\n(.*?)```/s.exec(readme);
  assert.ok(lines.trim().split("\n").length <= 10, "ten lines");
  files[""] = lines.replaceAll("http://127.0.0.1:8080", hub.url);
  // The line that README has for it: what it prints is the file.
  assert.match(readme, /^    target\/release\/tambour token --sub me > token$/m);
  files.token = execFileSync(process.env.TAMBOUR_BIN, ["token", "--sub", "me", "--data", hub.directory], { encoding: "utf8" });
  const [one, two] = [await tab(""), await tab("")];
  await say(one, "hello");
  await shows(two, ["me: hello"]);
  await say(two, "hello to you");
  const said = ["me: hello", "me: hello to you"];
  for (const page of [one, two]) await shows(page, said);

  for (const end of ["kill", "drain"]) {
    const { port } = hub;
    await hub[end]();
    await say(one, `${end}: typed while the hub was away`);
    await hub.start(port);
    said.push(`me: ${end}: typed while the hub was away`);
    for (const page of [one, two]) await shows(page, said);
  }
  assert.deepEqual([one.wrong, two.wrong], [[], []]);
});

test("examples/chat: people and a model's answer, over a reload and a crash, to its stop", async () => {
  files[""] = await readFile(new URL("examples/chat/index.html", root), "utf8");
  assert.ok(files[""].trim().split("\n").length < 60, "it is read at a glance");
  const open_ = async (sub) => {
    const fragment = new URLSearchParams({ hub: hub.url, tenant: TENANT, env: ENV, token: await hub.token(sub) });
    const page = await tab(`#${fragment}`);
    await page.waitForFunction(() => document.querySelector("#state").textContent.startsWith("live"));
    return page;
  };
  const pipe = join(hub.directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  const answer = ["answer", "thread/welcome", "--url", hub.url, "--data", hub.directory, "--", "cat", pipe];
  const model = spawn(process.env.TAMBOUR_BIN, answer, { stdio: ["ignore", "ignore", "pipe"] });
  try {
    let heard = "";
    model.stderr.setEncoding("utf8").on("data", (text) => (heard += text));
    await eventually(() => heard.includes("answering in"));
    const [ada, ben] = [await open_("ada"), await open_("ben")];
    await say(ada, "what is a tambour?");
    const output = await open(pipe, "w");
    await output.write("A frame ");
    const grown = async (page, text) => {
      await page.waitForFunction((text) => document.querySelector("#log li:nth-child(2) span")?.textContent === text, text);
      assert.equal(await page.locator("#log li").count(), 2);
    };
    for (const page of [ada, ben]) await grown(page, "model: A frame ");
    await ada.reload();
    await grown(ada, "model: A frame ");
    await output.write("that holds ");
    for (const page of [ada, ben]) await grown(page, "model: A frame that holds ");
    const { port } = hub;
    await hub.kill();
    await output.write("a canvas ");
    await hub.start(port);
    for (const page of [ada, ben]) await grown(page, "model: A frame that holds a canvas ");
    await ben.getByRole("button", { name: "Stop" }).click();
    for (const page of [ada, ben]) await page.getByRole("button", { name: "Stop" }).waitFor({ state: "detached" });
    await output.close();
    assert.deepEqual([ada.wrong, ben.wrong], [[], []]);
  } finally {
    model.kill("SIGKILL");
  }
});
