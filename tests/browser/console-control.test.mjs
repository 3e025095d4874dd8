// Keys, people, the kill switch and the audit in the console: what is pressed there is so in the hub, for whoever comes with a
// token over HTTP; and all of it is in the audit.

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole, picture } from "./console.mjs";
import { ENV, Hub, TENANT } from "./hub.mjs";

const PLACE = { "x-tenant-id": TENANT, "x-env": ENV };
let browser;
let hub;
let admin;

before(async () => {
  browser = await launch();
  hub = await Hub.make();
  await hub.start();
  admin = await hub.token("root", { role: "admin" });
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

/** A request by a token; its status, and its body as JSON where it has one. */
async function ask(token, method, path, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", ...(token.startsWith("tsk_") ? {} : PLACE) };
  const answer = await fetch(hub.url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, ...(text.startsWith("{") && JSON.parse(text)) };
}

const publish = (token) => ask(token, "POST", "/v1/threads/welcome/events", { type: "chat_message", data: { text: "hello" } });

/** A page, looked at; it complains of nothing but what the browser says of refusals. */
async function looking(route, look, options = { sub: "ada" }) {
  const { page, complaints, context } = await openConsole(browser, hub, route, options);
  await look(page);
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const inDialog = (page, name) => page.getByRole("dialog").getByRole("button", { name, exact: true });
const text = (page, words) => page.getByText(words).first().waitFor();
const focused = (page, words) => page.waitForFunction((words) => (document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent).includes(words), words);

/** The token that the dialog shows, and its end. */
async function takeToken(page) {
  const token = await page.getByLabel("Token", { exact: true }).textContent();
  assert.match(token, /^tsk_/);
  assert.ok((await page.getByLabel("Command to try the token", { exact: true }).textContent()).includes(token));
  await inDialog(page, "I have it").click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.ok(!(await page.content()).includes(token), "the page has forgotten it");
  return token;
}

test("a key is made, rotated and revoked", async () => {
  await looking("#/keys", async (page) => {
    await text(page, "There is no key yet");
    await button(page, "Make a key…").click();
    await page.getByRole("textbox", { name: /^Name/ }).fill("night summaries");
    await page.getByText("More permissions").click();
    await page.getByRole("checkbox", { name: /feed:read/ }).check();
    await page.getByRole("combobox", { name: /^Expires/ }).selectOption("in a week");
    await accessible(page);
    await page.keyboard.press("Escape");
    await focused(page, "Make a key");

    await button(page, "Make a key…").click();
    await page.getByRole("textbox", { name: /^Name/ }).fill("night summaries");
    await page.getByText("More permissions").click();
    await page.getByRole("checkbox", { name: /feed:read/ }).check();
    await inDialog(page, "Make it").click();
    await text(page, "shown this once");
    await accessible(page);
    const first = await takeToken(page);
    await focused(page, "Make a key");
    assert.equal((await publish(first)).status, 201);

    const row = page.getByRole("row", { name: /night summaries/ });
    await row.getByText("feed:read").waitFor();
    await row.getByRole("button", { name: "Rotate night summaries" }).click();
    await inDialog(page, "Rotate").click();
    await text(page, "The token before it is good until");
    const second = await takeToken(page);
    await focused(page, "Rotate night summaries");
    assert.notEqual(second, first);
    assert.deepEqual([(await publish(first)).status, (await publish(second)).status], [201, 201]);

    await row.getByRole("button", { name: "Revoke night summaries" }).click();
    await inDialog(page, "Cancel").click();
    await focused(page, "Revoke night summaries");
    await row.getByRole("button", { name: "Revoke night summaries" }).click();
    await inDialog(page, "Revoke").click();
    await text(page, "night summaries is revoked");
    await focused(page, "is revoked");
    await row.waitFor({ state: "detached" });
    assert.deepEqual([(await publish(first)).status, (await publish(second)).status], [401, 401]);
  });
});

test("many keys and odd names", async () => {
  const names = ["<b>bold</b>", "מפתח של הצוות", "a name that is much longer than any column of a table has room for, and then longer", ..."abcdefgh"];
  for (const name of names) await ask(admin, "POST", "/v1/keys", { name, actor_type: "system", role: "viewer" });
  await looking("#/keys", async (page) => {
    await page.getByRole("button", { name: "Revoke <b>bold</b>" }).waitFor();
    await page.getByLabel(/Find one of/).fill("הצוות");
    await page.getByRole("button", { name: "Revoke a", exact: true }).waitFor({ state: "detached" });
    assert.equal(await page.getByRole("row").count(), 2);
    await page.getByLabel(/Find one of/).fill("no key is called so");
    await text(page, "No key has");
    await page.getByLabel(/Find one of/).fill("");
    await picture(page, "keys");
  });
});

test("publishing is switched off and on, and everybody is told", async () => {
  const token = await hub.token("bob");
  const ben = await openConsole(browser, hub, "#/audit", { sub: "ben" });
  await looking("#/kill-switch", async (page) => {
    await text(page, "Everything is on");
    await page.getByLabel("Search").fill("publish");
    await page.getByRole("switch", { name: /Publish to a thread/ }).click();
    await page.getByRole("status").filter({ hasText: "1 change is not in force yet" }).waitFor();
    assert.equal((await publish(token)).status, 201);
    await button(page, "Review…").click();
    await page.getByRole("dialog").getByText("This will switch off").waitFor();
    await page.getByLabel("Reason").fill("a storm");
    await accessible(page);
    await inDialog(page, "Switch off").click();
    await focused(page, "It is in force");
    const refused = await publish(token);
    assert.deepEqual([refused.status, refused.code], [403, "kill_switch.blocked"]);
    await page.getByLabel("Search").fill("");
    await text(page, "Changed last by");
    await picture(page, "kill-switch");
    await ben.page.getByText("Switched off:").waitFor();
    await text(ben.page, "a storm");

    await page.getByRole("switch", { name: /Publish to a thread/ }).click();
    await button(page, "Review…").click();
    await page.getByRole("dialog").getByText("Then nothing is off").waitFor();
    await inDialog(page, "Switch on").click();
    await text(page, "Everything is on");
    assert.equal((await publish(token)).status, 201);
    await ben.page.getByText("Switched off:").waitFor({ state: "detached" });
  });
  await ben.context.close();
});

test("what somebody else switches meanwhile is not undone, and is seen before it is confirmed", async () => {
  await looking("#/kill-switch", async (page) => {
    await text(page, "Everything is on");
    await page.getByLabel("A provider to switch off").fill("Acme Inc");
    await button(page, "Add").click();
    await text(page, "A provider has 1 to 64");
    await page.getByLabel("A provider to switch off").fill("ACME");
    await page.keyboard.press("Enter");
    await page.getByRole("switch", { name: "Agents may do more than read" }).press("Space");
    await page.getByRole("switch", { name: /Threads: all of it/ }).press("Space");
    assert.ok(await page.getByRole("switch", { name: /Publish to a thread/ }).isDisabled());
    await button(page, "Review…").click();
    await page.getByRole("dialog").getByText("This will switch off").waitFor();
    await ask(admin, "PUT", "/v1/kill-switch", { disabled_actions: ["keys.create"], reason: "first" });
    await inDialog(page, "Switch off").click();
    await text(page, "root changed the switch meanwhile");
    await page.getByRole("dialog").getByText("This stays off").waitFor();
    await page.getByRole("dialog").getByText("keys.create").waitFor();
    await inDialog(page, "Switch off").click();
    await focused(page, "It is in force");
    const { disabled_actions, disable_autonomy, disable_providers } = await ask(admin, "GET", "/v1/kill-switch");
    assert.deepEqual([disabled_actions.toSorted(), disable_autonomy, disable_providers], [["keys.create", "threads.*"], true, ["acme"]]);
    await accessible(page);

    // It shows what others do, by itself.
    await ask(admin, "PUT", "/v1/kill-switch", {});
    await text(page, "Everything is on");
  });
});

test("somebody is suspended, let in again, and their tokens are revoked", async () => {
  const token = await hub.token("bob");
  await looking("#/keys", async (page) => {
    await page.getByLabel(/Whom\?/).fill("bob");
    await button(page, "Look up").click();
    await text(page, "Nothing is said of them");
    await button(page, "Suspend…").click();
    await inDialog(page, "Suspend").click();
    await focused(page, "bob is suspended");
    const refused = await publish(token);
    assert.deepEqual([refused.status, refused.code], [403, "auth.suspended"]);
    await accessible(page);
    await button(page, "Activate").click();
    await text(page, "bob may come in");
    assert.equal((await publish(token)).status, 201);

    await page.getByLabel("Role, in place of what their tokens give").selectOption("viewer");
    await button(page, "Give this role").click();
    await text(page, "The role of bob is viewer");
    assert.equal((await publish(token)).status, 403);
    await button(page, "Revoke all tokens…").click();
    await inDialog(page, "Revoke").click();
    await text(page, "are revoked");
    const revoked = await publish(token);
    assert.deepEqual([revoked.status, revoked.code], [401, "auth.token_revoked"]);

    await page.getByText("Revoke one token by its id").click();
    await page.getByLabel("The token’s jti").fill("5f0c");
    await button(page, "Revoke…").click();
    await inDialog(page, "Revoke").click();
    await text(page, "The token is revoked");
  });
});

const entries = async () => (await ask(admin, "GET", "/v1/audit?limit=500")).entries;

test("the audit shows all of it, is sought through, verified and saved", async () => {
  await looking("#/audit", async (page) => {
    for (const action of ["keys.create", "keys.rotate", "keys.revoke", "kill_switches.put", "principals.put", "revocations.create"]) await text(page, action);
    const table = page.getByRole("table", { name: /Entries of the audit/ });
    await page.getByLabel("Action", { exact: true }).fill("keys.r*");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll("tr.entry").length === 2);
    assert.deepEqual(await table.locator("td:nth-child(4)").allTextContents(), ["keys.revoke", "keys.rotate"]);
    await page.getByRole("link", { name: "Show all" }).click();
    await page.getByLabel("Outcome").selectOption("refused");
    await table.getByText("kill_switch.blocked").waitFor();
    await table.getByText("keys.revoke").waitFor({ state: "detached" });
    await page.goBack();
    await table.getByText("keys.revoke").waitFor();

    // An entry, and the one before it, and back.
    const put = (await entries()).find(({ action, after }) => action === "kill_switches.put" && after.reason === "a storm");
    await page.getByRole("button", { name: `Entry ${put.seq}:` }).click();
    await page.getByRole("dialog").getByText(put.hash).waitFor();
    await page.getByRole("dialog").getByRole("row", { name: /reason.*a storm.*changed/ }).waitFor();
    await accessible(page);
    await inDialog(page, "The one before").click();
    await page.getByRole("dialog").getByRole("heading", { name: `Entry ${put.seq - 1}` }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await focused(page, `Entry ${put.seq}`);

    // Verified, and compared with what was kept.
    const all = await entries();
    await button(page, "Verify").click();
    await text(page, `Whole: ${all.length} entries are as they were written`);
    assert.equal(await page.getByLabel("The head, to keep", { exact: true }).textContent(), `${all[0].seq}:${all[0].hash}`);
    await picture(page, "audit");
    const kept = page.getByLabel("Compare with what you kept");
    await kept.fill(`3:${all.find(({ seq }) => seq === 3).hash}`);
    await button(page, "Verify").click();
    await text(page, "Entry 3 is the one that you kept");
    await kept.fill(`3:${"0".repeat(64)}`);
    await button(page, "Verify").click();
    await text(page, "Not what you kept");
    await accessible(page);

    // Saved, as the hub says it.
    const saved = async (format) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `as ${format}` }).click()]);
      assert.equal(download.suggestedFilename(), `audit-t_demo-dev.${format.toLowerCase()}`);
      return readFile(await download.path(), "utf8");
    };
    const lines = (await saved("NDJSON")).trim().split("\n");
    assert.deepEqual(lines.map((line) => JSON.parse(line).seq), all.map(({ seq }) => seq).reverse());
    assert.equal(JSON.parse(await saved("JSON")).length, all.length);
    assert.match(await saved("CSV"), /^seq,time,/);
  });
});

test("older entries are a page away", async () => {
  for (let at = 0; at < 55; at += 1) {
    await ask(admin, "PUT", "/v1/principals/pat", { state: "suspended" });
    await ask(admin, "PUT", "/v1/principals/pat", { state: "active" });
  }
  await looking("#/audit", async (page) => {
    const shows = (last) => page.waitForFunction((last) => document.querySelector("tr.entry:last-child .entry-open")?.textContent === String(last), last);
    const [{ seq }] = await entries();
    await shows(seq - 99);
    await page.getByRole("link", { name: "Older" }).press("Enter");
    await shows(1);
    await focused(page, `Entries before ${seq - 99}`);
    await page.getByRole("link", { name: "Newest" }).click();
    await shows(seq - 99);
    // What happens now comes by itself.
    await ask(admin, "PUT", "/v1/principals/pat", { state: "suspended" });
    await shows(seq - 98);
  });
});

test("who may not is told what is missing", async () => {
  const token = await hub.token("mel");
  const route = (view) => `#/${view}?token=${token}&tenant=${TENANT}&env=${ENV}`;
  const alert = (page, words) => page.getByRole("alert").filter({ hasText: words }).waitFor();
  await looking(route("audit"), (page) => alert(page, "audit:read"), {});
  await looking(route("keys/bob"), async (page) => {
    await alert(page, "keys:write");
    await alert(page, "principals:write");
    await accessible(page);
  }, {});
  await looking(route("kill-switch"), async (page) => {
    await page.getByRole("switch", { name: /Read the feed/ }).click();
    await button(page, "Review…").click();
    await inDialog(page, "Switch off").click();
    await alert(page, "kill_switches:write");
  }, {});
});

test("it can be used by everybody: dark, narrow", async () => {
  await ask(admin, "PUT", "/v1/kill-switch", { disable_autonomy: true, disabled_actions: ["threads.members.*"], disable_providers: ["acme"], reason: "סערה" });
  const options = { sub: "ada", colorScheme: "dark", viewport: { width: 360, height: 700 } };
  for (const [route, words] of [["keys/pat", "suspended"], ["kill-switch", "Changed last by"], ["audit/3", "Of the one before"], ["audit?outcome=refused", "refused"]]) {
    await looking(`#/${route}`, async (page) => {
      await text(page, words);
      await text(page, "Switched off:");
      await accessible(page);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= room, `${route} is ${wide} wide`);
    }, options);
  }
  await ask(admin, "PUT", "/v1/kill-switch", {});
});

test("a hub that is away: what was shown stays, and it goes on", async () => {
  const { port } = hub;
  const audit = await openConsole(browser, hub, "#/audit", { sub: "ada" });
  await looking("#/kill-switch", async (page) => {
    await text(page, "Everything is on");
    await page.getByRole("switch", { name: /Read the feed/ }).click();
    await text(audit.page, "principals.put");
    await hub.kill();
    for (const one of [page, audit.page]) await one.locator('#state[data-state="away"]').waitFor();
    await text(page, "1 change is not in force yet");
    await text(audit.page, "principals.put");
    await hub.start(port);
    for (const one of [page, audit.page]) await one.locator('#state[data-state="live"]').waitFor();
    await ask(admin, "PUT", "/v1/kill-switch", { disable_autonomy: true });
    await text(page, "Changed last by root");
    await text(page, "1 change is not in force yet");
    await audit.page.getByText("can’t be reached").waitFor({ state: "detached" });
    await ask(admin, "PUT", "/v1/kill-switch", {});
  });
  await audit.context.close();
});

test("an audit that was changed is broken, and says where", async () => {
  const { port } = hub;
  const changed = (await entries()).find(({ action, after }) => action === "keys.create" && after.name === "night summaries");
  await hub.drain();
  // As somebody does who can write the file, and thinks that nobody looks.
  for (const name of await readdir(hub.directory)) {
    const path = join(hub.directory, name);
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    for (let at = bytes.indexOf("night summaries"); at >= 0; at = bytes.indexOf("night summaries", at)) bytes.write("right summaries", at);
    if (bytes.includes("right summaries")) await writeFile(path, bytes);
  }
  await hub.start(port);
  await looking("#/audit", async (page) => {
    await button(page, "Verify").click();
    await text(page, `Entry ${changed.seq} is the first that is not as it was written`);
    await page.getByRole("heading", { name: "Broken" }).waitFor();
    await accessible(page);
    await button(page, `Show entry ${changed.seq}`).click();
    await page.getByRole("dialog").getByText("right summaries").waitFor();
  });
});
