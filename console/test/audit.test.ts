// What is sought in the audit, what changed in an entry, and what somebody kept of it.
import { expect, test } from "vitest";
import { diff } from "../src/control/audit/diff";
import { beforeOf, fileName, filterOf, isFiltered, keptOf, queryOf } from "../src/control/audit/filter";

test("a filter is read from the address, and asked of the hub", () => {
  const query = new URLSearchParams({ actor: " ada ", action: "keys.*", outcome: "perhaps", x: "1", since: "", before: "17" });
  expect(filterOf(query)).toEqual({ actor: "ada", action: "keys.*" });
  expect(queryOf(filterOf(query), { before: beforeOf(query), limit: 100 })).toBe("?actor=ada&action=keys.*&before=17&limit=100");
  expect(queryOf({}, { before: undefined })).toBe("");
  expect(isFiltered(filterOf(new URLSearchParams()))).toBe(false);
  for (const before of ["", "0", "-1", "1.5", "x"]) expect(beforeOf(new URLSearchParams({ before }))).toBeUndefined();
});

test("members that came, went and changed are before those that are the same", () => {
  const { rows, more } = diff({ name: "a", role: "member", members: { bob: "read" }, gone: 1 }, { name: "a", role: "admin", members: { bob: "read", eve: "write" }, list: ["x", "y"] });
  expect(rows).toEqual([
    { path: "role", kind: "changed", before: "member", after: "admin" },
    { path: "gone", kind: "removed", before: "1", after: undefined },
    { path: "members.eve", kind: "added", before: undefined, after: "write" },
    { path: "list", kind: "added", before: undefined, after: "x, y" },
    { path: "name", kind: "same", before: "a", after: "a" },
    { path: "members.bob", kind: "same", before: "read", after: "read" },
  ]);
  expect(more).toBe(0);
});

test("what is nothing, empty or much is shown still", () => {
  expect(diff(undefined, undefined).rows).toEqual([]);
  expect(diff({ a: null, b: [], c: {}, d: "" }, undefined).rows.map(({ before }) => before)).toEqual(["–", "[]", "{}", "“”"]);
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`m${at}`, at]));
  expect(diff(undefined, many)).toMatchObject({ rows: { length: 200 }, more: 300 });
  let deep: unknown = 1;
  for (let at = 0; at < 50; at += 1) deep = { deep };
  expect(diff(undefined, deep).rows).toHaveLength(1);
});

test("what was kept", () => {
  const hash = "0123456789ABCDEF".repeat(4);
  expect(keptOf(` 17:${hash}\n`)).toEqual({ seq: 17, hash: hash.toLowerCase() });
  for (const text of ["", "17", `0:${hash}`, `17:${hash}0`, `x:${hash}`]) expect(keptOf(text)).toBeUndefined();
});

test("a file says whose audit it is, and no more", () => {
  expect(fileName("t_demo", "dev", "csv")).toBe("audit-t_demo-dev.csv");
  expect(fileName("../x", "dev", "json")).toBe("audit-___x-dev.json");
});
