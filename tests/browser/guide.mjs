// A guide of docs/, followed as it is written: its commands by bash, for addresses of the test.
//
// Only addresses and the data directory are ours. Nothing of a guide is repeated here: a command that it does not have is
// not run.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const WAIT_MS_MAX = 60_000;

export class Guide {
  /** A guide by its name in docs/. Its pages are served on a port of the test's. */
  static async read(name, hub, pagesPort) {
    const guide = new Guide();
    guide.text = await readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8");
    return Object.assign(guide, { hub, pagesPort });
  }

  /** The commands of a section, for our addresses. */
  commands(heading) {
    const section = this.text.split("\n## ").find((section) => section.startsWith(`${heading}\n`));
    assert.ok(section, `the guide has no section ${heading}`);
    const lines = section.split("\n").filter((line) => line.startsWith("    "));
    assert.ok(lines.length > 0, `${heading} has no commands`);
    const text = lines.map((line) => line.slice(4)).join("\n");
    const ours = [["http://127.0.0.1:8080", this.hub.url], ["127.0.0.1:8090", `127.0.0.1:${this.pagesPort}`], [" 8090 ", ` ${this.pagesPort} `]];
    return ours.reduce((text, [theirs, own]) => text.replaceAll(theirs, own), text);
  }

  /** The line of a section that begins so, to be run at a moment of its own. */
  line(heading, start) {
    return this.commands(heading).split("\n").find((line) => line.startsWith(start)) ?? assert.fail(`${heading} has no ${start}`);
  }

  /** What commands print. */
  async bash(...scripts) {
    const env = {
      ...process.env,
      PATH: `${dirname(resolve(process.env.TAMBOUR_BIN))}:${process.env.PATH}`,
      TAMBOUR_URL: this.hub.url,
      TAMBOUR__STORE__DATA_DIR: this.hub.directory,
    };
    const { stdout } = await promisify(execFile)("bash", ["-uc", scripts.join("\n")], { cwd: ROOT, env });
    return stdout;
  }

  /** Runs the command that serves the guide's pages, until it is killed. */
  async serve(line) {
    const [command, ...args] = line.split(" ");
    const pages = spawn(command, args, { cwd: ROOT, stdio: "ignore" });
    await eventually(() => fetch(`http://127.0.0.1:${this.pagesPort}/`).then(({ ok }) => ok, () => false));
    return pages;
  }
}

/** Asks until there is an answer. */
export async function eventually(ask) {
  const until = Date.now() + WAIT_MS_MAX;
  while (Date.now() < until) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail("it never came");
}
