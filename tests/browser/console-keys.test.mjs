// Keys and people in the console: what is pressed there is so in the hub, for whoever comes with a token over HTTP.

import assert from "node:assert/strict";
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
  await control.looking("#/keys", async (page) => {
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
    assert.equal((await control.publish(first)).status, 201);

    const row = page.getByRole("row", { name: /night summaries/ });
    await row.getByText("feed:read").waitFor();
    await row.getByRole("button", { name: "Rotate night summaries" }).click();
    await inDialog(page, "Rotate").click();
    await text(page, "The token before it is good until");
    const second = await takeToken(page);
    await focused(page, "Rotate night summaries");
    assert.notEqual(second, first);
    assert.deepEqual([(await control.publish(first)).status, (await control.publish(second)).status], [201, 201]);

    await row.getByRole("button", { name: "Revoke night summaries" }).click();
    await inDialog(page, "Cancel").click();
    await focused(page, "Revoke night summaries");
    await row.getByRole("button", { name: "Revoke night summaries" }).click();
    await inDialog(page, "Revoke").click();
    await text(page, "night summaries is revoked");
    await focused(page, "is revoked");
    await row.waitFor({ state: "detached" });
    assert.deepEqual([(await control.publish(first)).status, (await control.publish(second)).status], [401, 401]);
  });
});

test("many keys and odd names", async () => {
  const names = ["<b>bold</b>", "מפתח של הצוות", "a name that is much longer than any column of a table has room for, and then longer", ..."abcdefgh"];
  for (const name of names) await control.ask(control.admin, "POST", "/v1/keys", { name, actor_type: "system", role: "viewer" });
  await control.looking("#/keys", async (page) => {
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

test("somebody is suspended, let in again, and their tokens are revoked", async () => {
  const token = await control.hub.token("bob");
  await control.looking("#/keys", async (page) => {
    await page.getByLabel(/Whom\?/).fill("bob");
    await button(page, "Look up").click();
    await text(page, "Nothing is said of them");
    await button(page, "Suspend…").click();
    await inDialog(page, "Suspend").click();
    await focused(page, "bob is suspended");
    const refused = await control.publish(token);
    assert.deepEqual([refused.status, refused.code], [403, "auth.suspended"]);
    await accessible(page);
    await button(page, "Activate").click();
    await text(page, "bob may come in");
    assert.equal((await control.publish(token)).status, 201);

    await page.getByLabel("Role, in place of what their tokens give").selectOption("viewer");
    await button(page, "Give this role").click();
    await text(page, "The role of bob is viewer");
    assert.equal((await control.publish(token)).status, 403);
    await button(page, "Revoke all tokens…").click();
    await inDialog(page, "Revoke").click();
    await text(page, "are revoked");
    const revoked = await control.publish(token);
    assert.deepEqual([revoked.status, revoked.code], [401, "auth.token_revoked"]);

    await page.getByText("Revoke one token by its id").click();
    await page.getByLabel("The token’s jti").fill("5f0c");
    await button(page, "Revoke…").click();
    await inDialog(page, "Revoke").click();
    await text(page, "The token is revoked");
  });
});

test("who may not is told what is missing", () =>
  control.asMember("keys/bob", async (page) => {
    await alert(page, "keys:write");
    await alert(page, "principals:write");
    await accessible(page);
  }));

test("it can be used by everybody: dark, narrow", async () => {
  await control.ask(control.admin, "PUT", "/v1/principals/pat", { state: "suspended" });
  await control.narrow("keys/pat", "suspended");
});
