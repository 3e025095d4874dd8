// The real nginx and the real Caddy with the files in deploy/, by HTTPS on a free port, in front of a hub.
//
// Only addresses and paths of those files are changed; a text that is not there any more is an error.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";

const READY_MS_MAX = 20_000;
const HOST = "127.0.0.1";

async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

function changed(text, changes) {
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`${from} is not in the shipped file`);
    text = text.replaceAll(from, to);
  }
  return text;
}

function nginx(text, { directory, hub, port, redirect }) {
  execFileSync(
    "openssl",
    ["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"].concat(
      ["-keyout", join(directory, "tambour.key"), "-out", join(directory, "tambour.crt")],
    ),
    { stdio: "pipe" },
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${directory}/${name};\n`);
  return changed(text, [
    ["server 127.0.0.1:8080;", `server ${hub};`],
    ["listen 80;", `listen ${HOST}:${redirect};`],
    ["listen 443 ssl http2;", `listen ${HOST}:${port} ssl http2;`],
    ["/etc/nginx/tambour", `${directory}/tambour`],
    ["/run/nginx.pid", `${directory}/pid`],
    ["/var/log/nginx/error.log", `${directory}/error`],
    ["/var/log/nginx/access.log", `${directory}/access`],
    ["\nhttp {\n", `\nhttp {\n${temporary.join("")}`],
  ]);
}

function caddy(text) {
  return changed(text, [
    ["listens.\n{\n", "listens.\n{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n"],
    ["localhost} {\n", `localhost} {\n\tbind ${HOST}\n`],
  ]);
}

const KINDS = {
  nginx: { file: "nginx.conf", adapt: nginx, atOnce: "SIGTERM", args: (at) => ["-e", join(at, "error"), "-g", "daemon off;", "-c", join(at, "config")] },
  caddy: { file: "Caddyfile", adapt: caddy, atOnce: "SIGQUIT", args: (at) => ["run", "--adapter", "caddyfile", "--config", join(at, "config")] },
};

/** A proxy that runs until `remove`. */
export class Proxy {
  #kind;
  #process;
  #directory;

  /** @param {"nginx" | "caddy"} kind @param {string} hubUrl */
  static async start(kind, hubUrl) {
    const proxy = new Proxy();
    proxy.#kind = KINDS[kind];
    const directory = (proxy.#directory = await mkdtemp(join(tmpdir(), "tambour-proxy-")));
    await chmod(directory, 0o755);
    const [port, redirect] = [await freePort(), await freePort()];
    const hub = new URL(hubUrl).host;
    const shipped = fileURLToPath(new URL(`../../deploy/${proxy.#kind.file}`, import.meta.url));
    const text = proxy.#kind.adapt(await readFile(shipped, "utf8"), { directory, hub, port, redirect });
    await writeFile(join(directory, "config"), text);
    const env = {
      PATH: `${process.env.PATH}:/usr/sbin`,
      HOME: directory,
      XDG_DATA_HOME: directory,
      XDG_CONFIG_HOME: directory,
      TAMBOUR_HUB: hub,
      TAMBOUR_SITE: `https://localhost:${port}`,
    };
    proxy.#process = spawn(kind, proxy.#kind.args(directory), { env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    proxy.#process.stderr.setEncoding("utf8").on("data", (more) => (said = (said + more).slice(-8_000)));
    let failed;
    proxy.#process.once("error", (error) => (failed = error));
    proxy.#process.once("exit", () => (failed ??= new Error(`${kind} ended:\n${said}`)));
    for (const began = Date.now(); ; await new Promise((later) => setTimeout(later, 20))) {
      if (failed) throw failed;
      if (Date.now() - began > READY_MS_MAX) throw new Error(`${kind} is not ready in time:\n${said}`);
      // Caddy may listen before it has its certificate.
      const socket = connect({ port, host: HOST, servername: "localhost", rejectUnauthorized: false });
      const listens = await new Promise((told) => socket.once("secureConnect", () => told(true)).once("error", () => told(false)));
      socket.destroy();
      if (listens) break;
    }
    proxy.url = `https://localhost:${port}`;
    return proxy;
  }

  /** Ends it and removes its files. */
  async remove() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const gone = once(this.#process, "exit");
      this.#process.kill(this.#kind.atOnce);
      await gone;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
