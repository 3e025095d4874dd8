// Builds anew, beside dist/, and fails when what is committed there is anything else.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "tambour-console-"));
try {
  const vite = join(root, "node_modules/vite/bin/vite.js");
  for (const mode of ["production", "client"]) {
    execFileSync(process.execPath, [vite, "build", "--mode", mode, "--outDir", fresh, "--emptyOutDir=false", "--logLevel", "warn"], { cwd: root, stdio: "inherit" });
  }
  const read = (folder) => new Map(readdirSync(folder, { recursive: true }).sort().map((name) => [name, readFileSync(join(folder, name))]));
  const [made, kept] = [read(fresh), read(join(root, "dist"))];
  const names = new Set([...made.keys(), ...kept.keys()]);
  const stale = [...names].filter((name) => !made.has(name) || !kept.has(name) || !made.get(name).equals(kept.get(name)));
  if (stale.length > 0) {
    console.error(`console/dist is not what its sources make: ${stale.join(", ")}. Run \`npm --prefix console run build\`, and commit it.`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
