// Whether the hub is there: by what it answers, and by what the live view is doing.
import { HubError } from "@tambour/client";
import { beforeEach, expect, test } from "vitest";
import { isAway, passes } from "../src/parts/errors";
import { answered, carrier, reach, strange, told } from "../src/reach";

const failed = (status: number, code: string) => new HubError({ status, code });
const away = failed(0, "client.network");

beforeEach(() => {
  told("ended", {});
  answered();
});

test.each([
  [0, "client.network", true, true],
  [0, "client.token", true, true],
  [502, "http.502", true, true],
  [503, "draining", true, true],
  [500, "internal", false, true],
  [507, "store.full", false, true],
  [429, "rate", false, true],
  [404, "topic.unknown", false, false],
  [403, "permission.denied", false, false],
  // What the page itself says is of no network.
  [0, "client.closed", false, false],
  [0, "console.no_entry", false, false],
])("%d %s: away %s, worth another try %s", (status, code, isIt, again) => {
  expect([isAway(failed(status, code)), passes(failed(status, code))]).toEqual([isIt, again]);
});

test("answers say it where nothing is read live", () => {
  answered(away);
  expect(reach.value).toBe("away");
  answered(failed(403, "permission.denied"));
  expect(reach.value).toBe("live");
});

test("who waits for the live view is away until it is live, whatever else is answered", () => {
  told("live", { transport: "ws" });
  expect([reach.value, carrier.value]).toEqual(["live", "ws"]);
  told("waiting", { error: away });
  told("connecting", { transport: "ws" });
  answered();
  expect([reach.value, carrier.value]).toEqual(["away", undefined]);
  told("live", { transport: "sse" });
  expect([reach.value, carrier.value]).toEqual(["live", "sse"]);
});

test("what has ended carries nothing, and is not away", () => {
  told("live", { transport: "ws" });
  told("waiting", { error: away });
  told("ended", {});
  expect([reach.value, carrier.value]).toEqual(["live", undefined]);
});

test("a refusal for now is an answer", () => {
  told("waiting", { error: failed(429, "session.rate") });
  expect(reach.value).toBe("live");
});

test("a token that is not taken is told, and no other refusal", () => {
  answered(failed(401, "auth.wrong_tier"));
  expect(strange.value).toBeUndefined();
  answered(failed(401, "auth.token_invalid"));
  expect(strange.value?.code).toBe("auth.token_invalid");
  answered();
  expect(strange.value).toBeUndefined();
});
