// A real hub in a process of its own, and the few requests that the tests make to it.
//
// It never stands in for a hub: the binary is the one that TAMBOUR_BIN names.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const READY_MS_MAX = 20_000;
const HOST = "127.0.0.1";
export const TENANT = "t_demo";
export const ENV = "dev";

const binary = process.env.TAMBOUR_BIN;
if (!binary) throw new Error("TAMBOUR_BIN must name the tambour binary to test");

/** One data directory, and the hub that serves it while one runs. */
export class Hub {
  #env;
  #process = null;
  #errors = "";

  /** @param {Record<string, string>} env Settings of this hub, as variables. */
  static async make(env = {}) {
    const hub = new Hub();
    // Tests are faster than anybody.
    const unrated = { TAMBOUR__RATES__PUBLISH_PER_MINUTE: "0", TAMBOUR__RATES__ACTION_PER_MINUTE: "0" };
    hub.#env = { ...process.env, ...unrated, ...env };
    hub.directory = await mkdtemp(join(tmpdir(), "tambour-browser-"));
    return hub;
  }

  /** Starts it on a port (0: any) and waits until it says that it listens. */
  async start(port = 0) {
    // The admin address gets a port of its own too, so that hubs can run side by side.
    const args = ["serve", "--listen", `${HOST}:${port}`, "--admin-listen", `${HOST}:0`, "--data", this.directory];
    const child = spawn(binary, args, { env: this.#env, cwd: this.directory, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.#errors = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#errors = (this.#errors + text).slice(-8_000)));
    const ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("the hub is not ready in time")), READY_MS_MAX);
      // The lines behind it are read too: a full pipe would stop the hub.
      createInterface({ input: child.stdout }).on("line", (line) => {
        const found = /listening on (http:\/\/\S+)/.exec(line);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[1]);
      });
      child.once("error", reject);
      child.once("exit", (code, signal) => reject(new Error(`the hub ended (${code ?? signal}):\n${this.#errors}`)));
    });
    this.url = new URL(await ready).origin;
    this.port = Number(new URL(this.url).port);
  }

  /** Ends it as a crash does. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** Ends it as an upgrade does: it drains. */
  drain() {
    return this.#end("SIGTERM");
  }

  async #end(signal) {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Ends it and removes its data. */
  async remove() {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** A development token. */
  async token(sub, role = "member") {
    const args = ["token", "--data", this.directory, "--tenant", TENANT, "--env", ENV, "--sub", sub];
    const { stdout } = await promisify(execFile)(binary, [...args, "--role", role, "--ttl", "3600"], { env: this.#env });
    return stdout.trim();
  }

  async post(token, path, body) {
    const answer = await fetch(this.url + path, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "x-env": ENV,
        "x-tenant-id": TENANT,
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  create(token, id) {
    return this.post(token, "/v1/threads", { id });
  }

  /** Publishes the texts, more than one as one array. */
  async publish(token, id, texts) {
    const events = texts.map((text) => ({ type: "chat_message", data: { text } }));
    await this.post(token, `/v1/threads/${id}/events`, events.length === 1 ? events[0] : events);
  }

  /** The query by which a stream is told what headers can't tell it. */
  query(token) {
    return new URLSearchParams({ token, tenant_id: TENANT, env: ENV }).toString();
  }
}

/**
 * A crash, and events that nobody could see live: the hub is killed, its data served on another port while `texts` are
 * published, killed again, and served where it was.
 */
export async function crashAndPublishMeanwhile(hub, token, id, texts) {
  const { port } = hub;
  await hub.kill();
  await hub.start(0);
  await hub.publish(token, id, texts);
  await hub.kill();
  await hub.start(port);
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
