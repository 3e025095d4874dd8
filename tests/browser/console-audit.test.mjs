// The audit in the console: what was done over HTTP is there, is sought through, verified and saved; and what was changed in its
// file is found.

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, picture } from "./console.mjs";
import { Control, alert, button, focused, inDialog, text } from "./control.mjs";

let browser;
let control;

before(async () => {
  browser = await launch();
  control = await Control.start(browser);
});

after(async () => {
  await browser?.close();
  await control?.hub.remove();
});

/** What is in the audit: a key that came and went, a switch, and what was refused while it was off, and a person. */
async function written() {
  const { admin } = control;
  const { id } = await control.ask(admin, "POST", "/v1/keys", { name: "night summaries", actor_type: "agent", role: "member" });
  await control.ask(admin, "POST", `/v1/keys/${id}/rotate`);
  await control.ask(admin, "DELETE", `/v1/keys/${id}`);
  await control.ask(admin, "PUT", "/v1/kill-switch", { disabled_actions: ["threads.publish"], reason: "a calm" });
  await control.ask(admin, "PUT", "/v1/kill-switch", { disabled_actions: ["threads.publish"], reason: "a storm" });
  assert.equal((await control.publish(await control.hub.token("bob"))).code, "kill_switch.blocked");
  await control.ask(admin, "PUT", "/v1/kill-switch", {});
  await control.ask(admin, "PUT", "/v1/principals/bob", { state: "active", role: "viewer" });
  await control.ask(admin, "POST", "/v1/revocations", { sub: "bob" });
}

test("the audit shows all of it, is sought through, verified and saved", async () => {
  await written();
  await control.looking("#/audit", async (page) => {
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
    const put = (await control.entries()).find(({ action, after }) => action === "kill_switches.put" && after.reason === "a storm");
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
    const all = await control.entries();
    await button(page, "Verify").click();
    await text(page, `Whole: ${all.length} entries are as they were written`);
    await focused(page, "Verify");
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
    await control.ask(control.admin, "PUT", "/v1/principals/pat", { state: "suspended" });
    await control.ask(control.admin, "PUT", "/v1/principals/pat", { state: "active" });
  }
  await control.looking("#/audit", async (page) => {
    const shows = (last) => page.waitForFunction((last) => document.querySelector("tr.entry:last-child .entry-open")?.textContent === String(last), last);
    const [{ seq }] = await control.entries();
    await shows(seq - 99);
    await page.getByRole("link", { name: "Older" }).press("Enter");
    await shows(1);
    await focused(page, `Entries before ${seq - 99}`);
    await page.getByRole("link", { name: "Newest" }).click();
    await shows(seq - 99);
    // What happens now comes by itself.
    await control.ask(control.admin, "PUT", "/v1/principals/pat", { state: "suspended" });
    await shows(seq - 98);
  });
});

test("who may not is told what is missing", () => control.asMember("audit", (page) => alert(page, "audit:read")));

test("it can be used by everybody: dark, narrow", async () => {
  await control.narrow("audit/3", "Of the one before");
  await control.narrow("audit?outcome=refused", "refused");
});

test("a hub that is away: what was shown stays, and it goes on", async () => {
  const { port } = control.hub;
  await control.looking("#/audit", async (page) => {
    await text(page, "principals.put");
    await control.hub.kill();
    await page.locator('#state[data-state="away"]').waitFor();
    await text(page, "principals.put");
    await control.hub.start(port);
    await page.locator('#state[data-state="live"]').waitFor();
    // What happens from then on comes by itself.
    await control.ask(control.admin, "PUT", "/v1/principals/zoe", { state: "suspended" });
    await text(page, "zoe");
    assert.equal(await page.getByText("can’t be reached").count(), 0);
  });
});

test("an audit that was changed is broken, and says where", async () => {
  const { port } = control.hub;
  const changed = (await control.entries()).find(({ action, after }) => action === "keys.create" && after.name === "night summaries");
  await control.hub.drain();
  // As somebody does who can write the file, and thinks that nobody looks.
  for (const name of await readdir(control.hub.directory)) {
    const path = join(control.hub.directory, name);
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    for (let at = bytes.indexOf("night summaries"); at >= 0; at = bytes.indexOf("night summaries", at)) bytes.write("right summaries", at);
    if (bytes.includes("right summaries")) await writeFile(path, bytes);
  }
  await control.hub.start(port);
  await control.looking("#/audit", async (page) => {
    await button(page, "Verify").click();
    await text(page, `Entry ${changed.seq} is the first that is not as it was written`);
    await page.getByRole("heading", { name: "Broken" }).waitFor();
    await accessible(page);
    await button(page, `Show entry ${changed.seq}`).click();
    await page.getByRole("dialog").getByText("right summaries").waitFor();
  });
});
