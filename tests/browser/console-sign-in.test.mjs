// Who the console signs in by itself, and how it asks where it does not: here as behind a proxy, where a hub signs nobody in.
//
// Nothing here waits for time to pass: every wait is for something that a reader would see.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch } from "./chromium.mjs";
import { accessible, ofTheNetwork, openConsole } from "./console.mjs";
import { Hub } from "./hub.mjs";

/** What a proxy adds to each request. */
const PROXIED = { extraHTTPHeaders: { via: "1.1 a-proxy" } };

let browser, hub;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async () => {
  hub = await Hub.make();
  await hub.start();
});

afterEach(() => hub.remove());

const composer = (page) => page.getByRole("textbox", { name: /message/i });
const who = (page) => page.getByRole("button", { name: /^You are/ });

test("two tabs of one browser are two people, signed in by the hub, and a reload keeps each", async () => {
  const { page, complaints, context } = await openConsole(browser, hub, "#/threads/welcome");
  await composer(page).waitFor();
  const second = await context.newPage();
  await second.goto(`${hub.url}/#/threads/welcome`);
  await composer(second).waitFor();
  const names = [await who(page).textContent(), await who(second).textContent()];
  assert.notEqual(names[0], names[1]);
  assert.match(names[0], /admin/);
  await second.reload();
  await composer(second).waitFor();
  assert.equal(await who(second).textContent(), names[1]);
  assert.deepEqual(complaints, []);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`elsewhere it asks, says what is wrong with a token, and forgets it (${colorScheme})`, async () => {
    const { page, complaints, context } = await openConsole(browser, hub, "#/threads/welcome", { colorScheme, ...PROXIED });
    await page.getByText("tambour token --sub ada --role admin").waitFor();
    assert.deepEqual(complaints, [], "to be asked is no failure");
    await accessible(page);
    await page.getByLabel("Token").fill("not.a.token");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").filter({ hasText: "auth." }).waitFor();
    await page.getByLabel("Token").fill(await hub.token("grace"));
    await page.getByLabel("Tenant").fill("t_other");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").filter({ hasText: "auth.tenant_mismatch" }).waitFor();
    await page.getByLabel("Tenant").fill("t_demo");
    await page.getByRole("button", { name: "Sign in" }).click();
    await composer(page).waitFor();
    assert.match(await who(page).textContent(), /grace/);
    assert.deepEqual(complaints.filter((one) => !ofTheNetwork(one)), []);

    await who(page).click();
    await page.getByRole("button", { name: "Sign in with a token" }).click();
    await page.getByLabel("Token").waitFor();
    const kept = await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]));
    assert.ok(!kept.includes("grace") && !kept.includes("eyJ"), kept);
    await context.close();
  });
}

test("a link may bring a token, which no server and no history sees", async () => {
  const token = await hub.token("grace");
  const fragment = new URLSearchParams({ token, tenant: "t_demo", env: "dev" });
  const asked = [];
  const context = await browser.newContext(PROXIED);
  const page = await context.newPage();
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${hub.url}/#/threads/welcome?${fragment}`);
  await composer(page).waitFor();
  assert.match(await who(page).textContent(), /grace/);
  assert.equal(await page.evaluate(() => location.href), `${hub.url}/#/threads/welcome`);
  await page.reload();
  await composer(page).waitFor();
  assert.ok(asked.every((url) => !url.split("#")[0].includes(token)));
  await context.close();
});
