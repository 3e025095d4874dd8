// The first visit, and who looks: the hub signs each tab in as somebody else, a link may bring a token, and a token that is not
// taken leads to the form. What is waited for is what a reader sees.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole } from "./console.mjs";
import { ENV, Hub, TENANT } from "./hub.mjs";

let browser;
let hub;

before(async () => {
  browser = await launch();
  hub = await Hub.make();
  await hub.start();
});

after(async () => {
  await browser?.close();
  await hub?.remove();
});

const me = (page) => page.getByRole("button", { name: /^You are / });
const link = (token) => `#/threads/welcome?${new URLSearchParams({ token, tenant: TENANT, env: ENV })}`;

test("a first visit: it invites to a second tab, which is somebody else, and both talk", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads/welcome");
  const second = page.getByRole("link", { name: "open this thread in a second tab" });
  await second.waitFor();
  assert.equal(await page.title(), "welcome · Threads · Tambour");
  await accessible(page);
  await page.fill("#say", "hello");
  await page.press("#say", "Enter");
  const [other] = await Promise.all([context.waitForEvent("page"), second.click()]);
  await other.locator(".said").getByText("hello").waitFor();
  assert.notEqual(await me(other).textContent(), await me(page).textContent());
  await other.fill("#say", "hello to you");
  await other.press("#say", "Enter");
  await page.locator(".said").getByText("hello to you").waitFor();
  await second.waitFor({ state: "detached" });
  // A reload is the same person.
  const before = await me(other).textContent();
  await other.reload();
  await other.locator(".said").getByText("hello to you").waitFor();
  assert.equal(await me(other).textContent(), before);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("another name is a dialog away, and the focus comes back", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads/welcome", { sub: "ada" });
  await me(page).click();
  const dialog = page.getByRole("dialog", { name: "You are ada" });
  await dialog.waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.match(await page.evaluate(() => document.activeElement.textContent), /ada/);
  await page.keyboard.press("Enter");
  await dialog.getByLabel(/^Be somebody else/).fill("grace");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^You are grace/ }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a link brings a token, which is gone from the address and its history", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, link(await hub.token("mia")));
  await page.getByRole("button", { name: /^You are mia/ }).waitFor();
  await page.locator("#say").waitFor();
  assert.equal(page.url(), `${hub.url}/#/threads/welcome`);
  await page.getByRole("link", { name: "Feed" }).click();
  await page.goBack();
  assert.equal(page.url(), `${hub.url}/#/threads/welcome`);
  // The same where the page is open already.
  await page.goto(`${hub.url}/${link(await hub.token("nora"))}`);
  await page.getByRole("button", { name: /^You are nora/ }).waitFor();
  assert.equal(page.url(), `${hub.url}/#/threads/welcome`);
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
});

test("a token that is not taken leads to the form, and from there to where one wanted to go", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, link("rubbish"));
  await page.getByRole("alert").filter({ hasText: "The hub does not take this token" }).waitFor();
  assert.equal(page.url(), `${hub.url}/#/threads/welcome`);
  await page.waitForFunction(() => document.activeElement.name === "token");
  assert.equal(await page.title(), "Sign in · Tambour");
  await accessible(page);
  await page.getByLabel("Token").fill("rubbish, too");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "auth.token_invalid" }).waitFor();
  await page.getByLabel("Token").fill(await hub.token("mia"));
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^You are mia/ }).waitFor();
  await page.locator("#say").waitFor();
  assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`behind a proxy nobody is signed in: the page asks, says what is wrong, and forgets who leaves (${colorScheme})`, async () => {
    const proxied = { extraHTTPHeaders: { via: "1.1 a-proxy" } };
    const { page, complaints, context } = await openConsole(browser, hub, "#/threads/welcome", { colorScheme, ...proxied });
    await page.getByText("tambour token --sub ada --role admin").waitFor();
    assert.deepEqual(complaints, [], "to be asked is no failure");
    await accessible(page);
    await page.getByLabel("Token").fill(await hub.token("mia"));
    await page.getByLabel("Tenant").fill("t_other");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "auth.tenant_mismatch" }).waitFor();
    await page.getByLabel("Tenant").fill(TENANT);
    await page.keyboard.press("Enter");
    await page.locator("#say").fill("begun, not sent");
    await me(page).click();
    await page.getByRole("button", { name: "Sign in with a token" }).click();
    await page.getByLabel("Token").waitFor();
    const kept = await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]));
    assert.ok(!kept.includes("eyJ"), kept);
    assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
    await context.close();
  });
}
