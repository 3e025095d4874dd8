// What the tests of keys, kill switch and audit share: a hub with an administrator, requests to it by a token, and how a page is
// looked at. It never stands in for the hub or the page.

import assert from "node:assert/strict";

import { accessible, ofTheNetwork, openConsole } from "./console.mjs";
import { ENV, Hub, TENANT } from "./hub.mjs";

const PLACE = { "x-tenant-id": TENANT, "x-env": ENV };

export class Control {
  /** A hub of its own, and a token that may do everything there. */
  static async start(browser) {
    const control = new Control();
    control.browser = browser;
    control.hub = await Hub.make();
    await control.hub.start();
    control.admin = await control.hub.token("root", { role: "admin" });
    return control;
  }

  /** A request by a token; its status, and its body as JSON where it has one. */
  async ask(token, method, path, body) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", ...(token.startsWith("tsk_") ? {} : PLACE) };
    const answer = await fetch(this.hub.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, ...(text.startsWith("{") && JSON.parse(text)) };
  }

  publish(token) {
    return this.ask(token, "POST", "/v1/threads/welcome/events", { type: "chat_message", data: { text: "hello" } });
  }

  /** All entries of the audit, the newest first. */
  async entries() {
    return (await this.ask(this.admin, "GET", "/v1/audit?limit=500")).entries;
  }

  /** A page, looked at; it complains of nothing but what the browser says of refusals. */
  async looking(route, look, options = { sub: "ada" }) {
    const { page, complaints, context } = await openConsole(this.browser, this.hub, route, options);
    await look(page);
    assert.deepEqual(complaints.filter((complaint) => !ofTheNetwork(complaint)), []);
    await context.close();
  }

  /** Somebody who may not much looks at views, and is told what is missing. */
  async asMember(view, look) {
    const token = await this.hub.token("mel");
    await this.looking(`#/${view}?token=${token}&tenant=${TENANT}&env=${ENV}`, look, {});
  }

  /** A view at its narrowest, in the dark: everybody can use it, and nothing is wider than the window. */
  async narrow(route, words) {
    const options = { sub: "ada", colorScheme: "dark", viewport: { width: 360, height: 700 } };
    await this.looking(`#/${route}`, async (page) => {
      await text(page, words);
      await accessible(page);
      const wide = await page.evaluate(() => [document.documentElement, document.querySelector("main")].map((one) => one.scrollWidth - one.clientWidth));
      assert.deepEqual(wide, [0, 0], `${route} is too wide`);
      const cut = await page.evaluate(() => [...document.querySelectorAll("main :is(button, a)")].filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth).map((one) => one.textContent));
      assert.deepEqual(cut, [], `${route} hides what can be done`);
    }, options);
  }
}

export const button = (page, name) => page.getByRole("button", { name, exact: true });
export const inDialog = (page, name) => page.getByRole("dialog").getByRole("button", { name, exact: true });
export const text = (page, words) => page.getByText(words).first().waitFor();
export const alert = (page, words) => page.getByRole("alert").filter({ hasText: words }).waitFor();
export const focused = (page, words) => page.waitForFunction((words) => (document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent).includes(words), words);
