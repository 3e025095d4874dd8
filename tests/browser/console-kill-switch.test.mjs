// The kill switch in the console: what is switched off there is refused to whoever comes with a token over HTTP, and everybody is
// told.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, openConsole, picture } from "./console.mjs";
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

test("publishing is switched off and on, and everybody is told", async () => {
  const token = await control.hub.token("bob");
  const ben = await openConsole(browser, control.hub, "#/audit", { sub: "ben" });
  await control.looking("#/kill-switch", async (page) => {
    await text(page, "Everything is on");
    await page.getByLabel("Search").fill("publish");
    await page.getByRole("switch", { name: /Publish to a thread/ }).click();
    await page.getByRole("status").filter({ hasText: "1 change is not in force yet" }).waitFor();
    assert.equal((await control.publish(token)).status, 201);
    await button(page, "Review…").click();
    await page.getByRole("dialog").getByText("This will switch off").waitFor();
    await page.getByLabel("Reason").fill("a storm");
    await accessible(page);
    await inDialog(page, "Switch off").click();
    await focused(page, "It is in force");
    const refused = await control.publish(token);
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
    assert.equal((await control.publish(token)).status, 201);
    await ben.page.getByText("Switched off:").waitFor({ state: "detached" });
  });
  await ben.context.close();
});

test("what somebody else switches meanwhile is not undone, and is seen before it is confirmed", async () => {
  await control.looking("#/kill-switch", async (page) => {
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
    await control.ask(control.admin, "PUT", "/v1/kill-switch", { disabled_actions: ["keys.create"], reason: "first" });
    await inDialog(page, "Switch off").click();
    await text(page, "root changed the switch meanwhile");
    await page.getByRole("dialog").getByText("This stays off").waitFor();
    await page.getByRole("dialog").getByText("keys.create").waitFor();
    await inDialog(page, "Switch off").click();
    await focused(page, "It is in force");
    const { disabled_actions, disable_autonomy, disable_providers } = await control.ask(control.admin, "GET", "/v1/kill-switch");
    assert.deepEqual([disabled_actions.toSorted(), disable_autonomy, disable_providers], [["keys.create", "threads.*"], true, ["acme"]]);
    await accessible(page);

    // It shows what others do, by itself.
    await control.ask(control.admin, "PUT", "/v1/kill-switch", {});
    await text(page, "Everything is on");
  });
});

test("who may not is told what is missing", () =>
  control.asMember("kill-switch", async (page) => {
    await page.getByRole("switch", { name: /Read the feed/ }).click();
    await button(page, "Review…").click();
    await inDialog(page, "Switch off").click();
    await alert(page, "kill_switches:write");
  }));

test("it can be used by everybody: dark, narrow", async () => {
  await control.ask(control.admin, "PUT", "/v1/kill-switch", { disable_autonomy: true, disabled_actions: ["threads.members.*"], disable_providers: ["acme"], reason: "סערה" });
  await control.narrow("kill-switch", "Changed last by");
  for (const view of ["keys", "audit", "threads/welcome", "overview", "feed", "sessions"]) await control.narrow(view, "Switched off:");
  await control.ask(control.admin, "PUT", "/v1/kill-switch", {});
});

test("a hub that is away: what was shown stays, and it goes on", async () => {
  const { port } = control.hub;
  await control.looking("#/kill-switch", async (page) => {
    await text(page, "Everything is on");
    await page.getByRole("switch", { name: /Read the feed/ }).click();
    await control.hub.kill();
    await page.locator('#state[data-state="away"]').waitFor();
    await text(page, "1 change is not in force yet");
    await control.hub.start(port);
    await page.locator('#state[data-state="live"]').waitFor();
    await control.ask(control.admin, "PUT", "/v1/kill-switch", { disable_autonomy: true });
    await text(page, "Changed last by root");
    await text(page, "1 change is not in force yet");
    await control.ask(control.admin, "PUT", "/v1/kill-switch", {});
  });
});
