// What is off, what is wanted, and what is sent.
import type { openapi } from "@tambour/client";
import { expect, test } from "vitest";
import { found, groups, wordsOfAction } from "../src/control/kill-switch/actions";
import { applied, bodyOf, coveredBy, offOf, ordered, pending, PROVIDERS_MAX, providerItem, providerOf, same } from "../src/control/kill-switch/rules";

const now: openapi.KillSwitch = { disabled_actions: ["threads.publish"], disable_autonomy: true, disable_providers: ["acme"], reason: "why" };
const off = offOf(now);

test("what is off is a set of items", () => {
  expect([...off].sort()).toEqual(["action:threads.publish", "agents", "provider:acme"]);
  expect(bodyOf(off, " why ")).toEqual(now);
  expect(bodyOf(new Set(), "")).toEqual({ disabled_actions: [], disable_autonomy: false, disable_providers: [] });
});

test("what is wanted is kept beside what somebody else does", () => {
  const wanted = new Map([["agents", false], ["action:keys.*", true]]);
  expect([...applied(off, wanted)].sort()).toEqual(["action:keys.*", "action:threads.publish", "provider:acme"]);
  // Somebody else has switched agents on, and acme too.
  const later = offOf({ ...now, disable_autonomy: false, disable_providers: [] });
  expect([...pending(later, wanted)]).toEqual([["action:keys.*", true]]);
  expect([...applied(later, wanted)].sort()).toEqual(["action:keys.*", "action:threads.publish"]);
  expect(same(applied(later, new Map()), later)).toBe(true);
  expect(same(off, later)).toBe(false);
});

test.each([
  ["action:threads.publish", ["action:threads.*"], "threads.*"],
  ["action:threads.members.put", ["action:threads.members.*"], "threads.members.*"],
  ["action:threads.members.*", ["action:threads.*"], "threads.*"],
  ["action:threads.*", ["action:threads.*"], undefined],
  ["action:threads.*", ["action:*"], "*"],
  ["action:*", ["action:*"], undefined],
  ["action:threads.publish", ["action:threads.publish", "action:canvases.*"], undefined],
  ["action:stream.open", ["action:stream_tokens.*"], undefined],
  ["agents", ["action:*"], undefined],
])("%s is off by %s: %s", (item, off, by) => expect(coveredBy(item, new Set(off))).toBe(by));

test("the gravest is said first", () => {
  expect(ordered(["action:threads.publish", "provider:b", "provider:a", "action:keys.*", "agents", "action:*"])).toEqual(["action:*", "agents", "action:keys.*", "provider:a", "provider:b", "action:threads.publish"]);
});

test("providers as the hub takes them", () => {
  expect(providerOf(" ACME.ai ", off)).toEqual({ name: "acme.ai" });
  expect(providerOf("acme", off)).toHaveProperty("wrong");
  expect(providerOf("a b", off)).toHaveProperty("wrong");
  expect(providerOf("x", new Set(Array.from({ length: PROVIDERS_MAX }, (_, at) => providerItem(`p${at}`))))).toHaveProperty("wrong");
});

test("actions are in groups, families first, and a hub may know more of them", () => {
  const threads = groups().find(({ name }) => name === "threads")!;
  expect(threads.lines[0]).toMatchObject({ name: "threads.*", family: true });
  expect(threads.lines.map(({ name }) => name)).toContain("threads.members.*");
  expect(groups().find(({ name }) => name === "feed")!.lines.map(({ name }) => name)).toEqual(["feed.read"]);
  const newer = groups(["feed.*", "dreams.interpret", "*"]);
  expect(newer.find(({ name }) => name === "feed")!.lines.map(({ name }) => name)).toContain("feed.*");
  expect(newer.find(({ name }) => name === "dreams")!.lines[0]).toMatchObject({ words: "dreams.interpret" });
  expect(wordsOfAction("threads.members.*")).toBe("Threads: all about members");
  for (const { lines } of groups(["threads.*", "threads.publish"])) expect(new Set(lines.map(({ name }) => name)).size).toBe(lines.length);
});

test("search is by name and by words", () => {
  const names = (text: string) => found(groups(), text).flatMap(({ lines }) => lines.map(({ name }) => name));
  expect(names("PUBLISH")).toEqual(["threads.publish", "canvases.publish"]);
  expect(names("somebody out")).toEqual(["threads.members.remove", "canvases.members.remove"]);
  expect(names("nothing of the kind")).toEqual([]);
  expect(names(" ")).toHaveLength(groups().flatMap(({ lines }) => lines).length);
});
