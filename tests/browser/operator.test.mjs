// The guide to an operator's page, followed as it is written: its commands by bash, its page in a browser.
//
// Only addresses and the data directory are ours. Nothing of the guide is repeated here: a command that it does not have
// is not run.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { Guide, WAIT_MS_MAX, eventually } from "./guide.mjs";
import { Hub, crashAndPublishMeanwhile, freePort } from "./hub.mjs";

let browser;
let guide;
let hub;
let pages;

const commands = (heading) => guide.commands(heading);
const bash = (...scripts) => guide.bash(...scripts);
/** Lines of the last section, each to be run at a moment of its own. */
const later = (start) => guide.line("The same in a browser", start);

before(async () => {
  browser = await launch();
  const pagesPort = await freePort();
  hub = await Hub.make({ TAMBOUR__HTTP__ALLOWED_ORIGINS: `http://127.0.0.1:${pagesPort}` });
  await hub.start();
  guide = await Guide.read("operator.md", hub, pagesPort);
});

after(async () => {
  pages?.kill();
  await browser?.close();
  await hub?.remove();
});

test("by hand: a stream drops, goes on with the same URL, and ends when its token is taken back", async () => {
  const said = await bash(commands("Make a stream token"), commands("Read, drop, and go on with the same URL"), commands("Take it back"));
  assert.match(said, /"token":"tst_/);
  // Each text once, and the second behind the second `connected`.
  const order = ["event: connected", "before the drop", "event: connected", "while nobody looked", "event: refused", '"code":"auth.token_revoked"', '"status":401'];
  let at = 0;
  for (const words of order) {
    const found = said.indexOf(words, at);
    assert.ok(found >= 0, `${words} is missing behind ${at} of\n${said}`);
    at = found + words.length;
  }
  for (const text of ["before the drop", "while nobody looked"]) assert.equal(said.split(text).length, 2, said);
});

test("in a browser: the page goes on over a crash, and gives up when its token is taken back", async () => {
  // A login in the second of a revocation counts as before it, so this begins where there was none: olga is somebody else.
  const somebody = (text) => text.replaceAll("olga", "oskar");
  pages = await guide.serve(later("python3"));

  const said = await bash(somebody(commands("Make a stream token")), later("echo"));
  const url = said.trim().split("\n").at(-1);
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  await page.goto(url);
  const state = (words) => page.waitForFunction((words) => document.querySelector("#state").textContent === words, words);
  const log = (texts) => page.waitForFunction((texts) => document.querySelector("#log").innerText.trim() === texts, texts.join("\n"));
  await state("live");

  const jwt = await hub.token("alice");
  const texts = ["hello"];
  await bash("tambour publish -q thread/welcome hello");
  await log(texts);
  const missed = ["one", "two"];
  await crashAndPublishMeanwhile(hub, jwt, "welcome", missed);
  texts.push(...missed);
  await log(texts);
  await state("live");

  await bash(...commands("Make a stream token").split("\n").slice(0, 2), commands("Take it back").split("\n")[0], somebody(later("curl")));
  await log([...texts, "the hub says auth.token_revoked"]);
  await state("closed for good");
  await page.reload();
  await state("closed for good");

  // A new token does, once the second of the revocation is over.
  const again = async () => {
    const said = await bash(somebody(commands("Make a stream token")), later("echo"));
    return said.includes("tst_") ? said.trim().split("\n").at(-1) : null;
  };
  await page.goto("about:blank");
  await page.goto(await eventually(again));
  await state("live");
});
