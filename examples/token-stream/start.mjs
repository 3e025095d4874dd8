// Starts the example: the local model, the producer, and a server for the page. Needs Node 20 and a hub:
//   node examples/token-stream/start.mjs [hub] [thread]
// TAMBOUR_TOKEN is a token of a member of the tenant; MODEL_URL another model.
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Producer } from "./producer.mjs";
import { startModel } from "./model.mjs";

const [hub = "http://127.0.0.1:8080", thread = "welcome"] = process.argv.slice(2);
const port = Number(process.env.PORT ?? 8090);
const tambour = process.env.TAMBOUR_BIN ?? "target/release/tambour";
const tokenOf = (sub) => process.env.TAMBOUR_TOKEN ?? execFileSync(tambour, ["token", "--sub", sub], { encoding: "utf8" }).trim();
const scope = { tenant_id: "t_demo", env: "dev" };

const page = await readFile(new URL("page.html", import.meta.url));
const config = JSON.stringify({ hub, token: tokenOf("alice"), topic: `thread/${thread}`, ...scope });
const model = process.env.MODEL_URL ?? (await startModel({ tokensPerSecond: Number(process.env.TOKENS_PER_SECOND ?? 12) })).url;
const headers = { Authorization: `Bearer ${tokenOf("model")}`, "X-Tenant-Id": scope.tenant_id, "X-Env": scope.env };
new Producer({ hub, thread, headers, model }).run(new AbortController().signal);

const server = createServer((request, response) => {
  const isConfig = request.url === "/config.json";
  response.writeHead(200, { "Content-Type": isConfig ? "application/json" : "text/html", "Cache-Control": "no-store" });
  response.end(isConfig ? config : page);
});
server.listen(port, "127.0.0.1", () => console.log(`open http://127.0.0.1:${server.address().port}/`));
