// Keys: how they stand, who finds them, and the line that tries one.
import type { openapi } from "@tambour/client";
import { expect, test } from "vitest";
import { isoOf, localOf } from "../src/parts/local-time";
import { curlOf, inDays, matching, rolesUpTo, standing } from "../src/control/keys/rules";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const key: openapi.Key = { id: "key:1", name: "Summaries", actor_type: "agent", role: "member", permissions: [], created_at: "2026-11-22T11:00:00Z", created_by: "ada", tenant_id: "t_demo", env: "dev" };

test("nobody offers a higher role than their own", () => {
  expect(rolesUpTo("member")).toEqual(["viewer", "member"]);
  expect(rolesUpTo(undefined)).toEqual(["viewer", "member", "admin", "owner"]);
});

test("days from now", () => {
  expect(inDays("7", NOW)).toBe("2026-11-29T12:00:00.000Z");
  expect(inDays("", NOW)).toBeUndefined();
  expect(inDays("x", NOW)).toBeUndefined();
});

test("expired, and in its grace", () => {
  expect(standing(key, NOW)).toEqual({ expired: false, before: undefined });
  expect(standing({ ...key, expires_at: "2026-11-22T12:00:00Z" }, NOW).expired).toBe(true);
  expect(standing({ ...key, token_before_until: "2026-11-22T12:00:01Z" }, NOW).before).toBe("2026-11-22T12:00:01Z");
  expect(standing({ ...key, token_before_until: "2026-11-22T11:59:59Z" }, NOW).before).toBeUndefined();
});

test("found by name, id or maker", () => {
  for (const text of ["summ", "KEY:1", " ada ", ""]) expect(matching([key], text)).toEqual([key]);
  expect(matching([key], "bob")).toEqual([]);
});

test("the line is safe to paste, and asks what the role may", () => {
  expect(curlOf("https://hub.example", "tsk_a", "viewer")).toBe("curl -sS -H 'Authorization: Bearer tsk_a' 'https://hub.example/v1/threads/welcome/events'");
  expect(curlOf("https://hub.example", "tsk_'a", "member")).toContain(`'Authorization: Bearer tsk_'\\''a'`);
  expect(curlOf("https://hub.example", "tsk_a", "member")).toContain(`-d '{"type":"chat_message","data":{"text":"hello"}}'`);
});

test("times as they are typed, and as the hub takes them", () => {
  expect(isoOf(localOf("2026-11-22T12:00:01.000Z"))).toBe("2026-11-22T12:00:01.000Z");
  expect([isoOf(""), isoOf("soon"), localOf(undefined), localOf("soon")]).toEqual([undefined, undefined, "", ""]);
});
