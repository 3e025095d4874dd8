// Builds dist/: modules and types by tsc, and dist/tambour.min.js, all of it in one file, by esbuild.
// It never publishes anything.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

rmSync(at("dist"), { recursive: true, force: true });
execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "--project", at("tsconfig.json")], { stdio: "inherit" });
await build({
  entryPoints: [at("src/index.ts")],
  outfile: at("dist/tambour.min.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  tsconfig: at("tsconfig.json"),
  legalComments: "none",
});
