// The package as it is shipped: its size, its types, its lockfile, its files.
// It starts no hub.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { isFresh } from "../scripts/types.mjs";

/** Of dist/tambour.min.js, in bytes; README.md says it. */
const GZIP_MAX = 10_700;
const LINES_MAX = 400;

const at = (path) => new URL(`../${path}`, import.meta.url);
const read = (path) => readFileSync(at(path), "utf8");

test("the bundle is small", () => {
  const size = gzipSync(readFileSync(at("dist/tambour.min.js")), { level: 9 }).length;
  assert.ok(size <= GZIP_MAX, `${size} bytes gzipped, more than ${GZIP_MAX}`);
  assert.ok(size > GZIP_MAX * 0.95, `${size} bytes gzipped: the bound can be lowered`);
  assert.match(read("README.md"), /10\.7 kB gzipped/);
});

test("the types are those of openapi.json", () => {
  assert.ok(isFresh(), "src/openapi.ts is stale: npm run types");
});

test("it has no dependency, and its lockfile names no place", () => {
  const manifest = JSON.parse(read("package.json"));
  assert.deepEqual([manifest.dependencies, manifest.peerDependencies], [undefined, undefined]);
  assert.doesNotMatch(read("package-lock.json"), /https?:\/\/(?!github\.com|opencollective|.*funding)|"resolved"/);
});

test("the types let through what README.md shows, and no wrong data", () => {
  const tsc = fileURLToPath(at("node_modules/typescript/bin/tsc"));
  const args = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--types", ""];
  execFileSync(process.execPath, [tsc, ...args, "--ignoreConfig", fileURLToPath(at("test/usage.ts"))], { stdio: "pipe", encoding: "utf8" });
  const shown = /```ts\n([\s\S]*?)```/.exec(read("README.md"))[1];
  assert.ok(read("test/usage.ts").includes(shown.replace('"@tambour/client"', '"../dist/index.js"')), "README.md and test/usage.ts show the same");
});

test("every file says what it is for, and is short enough to be read", () => {
  for (const folder of ["src", "test", "scripts"]) {
    for (const name of readdirSync(at(folder))) {
      const text = read(`${folder}/${name}`);
      assert.match(text, /^\/\/ \S.{20}/, `${name} opens with a comment`);
      // What is made is not read.
      if (name !== "openapi.ts") assert.ok(text.split("\n").length <= LINES_MAX, `${name} is too long`);
    }
  }
});
