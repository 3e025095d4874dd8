// The console in a browser, as all tests of it open it: who looks, what the page complains of, whether it can be used by
// everybody, and its picture. It never stands in for the hub or the page.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { AxeBuilder } from "@axe-core/playwright";

const WAIT_MS_MAX = 60_000;

/**
 * A page of the console, signed in by the hub as `sub`, at a route such as `#/threads/welcome`. Each has storage of its own,
 * as another person's browser has. `complaints` is what the page says went wrong: it is to stay empty.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {import("./hub.mjs").Hub} hub
 */
export async function openConsole(browser, hub, route, { sub, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} (${message.location().url})`);
  });
  await page.addInitScript((sub) => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    if (sub && !sessionStorage.getItem("tambour.identity")) sessionStorage.setItem("tambour.identity", JSON.stringify({ sub, tenant: "t_demo", env: "dev" }));
  }, sub);
  await page.goto(`${hub.url}/${route}`);
  return { page, complaints, context };
}

/** What a browser itself says of a hub that is away: nobody can keep it from that, so it is no complaint. */
export function ofTheNetwork(complaint) {
  return /net::ERR_|Failed to load resource|WebSocket connection to .* failed/.test(complaint);
}

/** axe finds nothing serious in what is shown now. */
export async function accessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const said = serious.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map(({ html }) => `  ${html}`).join("\n")}`);
  assert.deepEqual(said, []);
}

/** The page's picture, for README and docs, where TAMBOUR_PICTURES=1 asks for them: docs/pictures/NAME.png. */
export async function picture(page, name) {
  if (process.env.TAMBOUR_PICTURES !== "1") return;
  const folder = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}${name}.png`, animations: "disabled" });
}
