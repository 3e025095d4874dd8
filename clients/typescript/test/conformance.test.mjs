// The conformance cases of tests/conformance against the client: the same case over each of its transports, through a
// proxy that cuts its first connections. What a case says is in tests/api/conformance; it never says how a transport looks.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FaultProxy, random } from "./fault-proxy.mjs";
import { client, defer, hubOf, OVER, reading, until, upTo } from "./support.mjs";

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** A seq may be larger than a number can say: such a one stays a text. */
const cases = (file) => {
  const text = readFileSync(new URL(`../../../tests/conformance/${file}.json`, import.meta.url), "utf8");
  return JSON.parse(text.replaceAll(/: (\d{16,})/g, ': "$1"'));
};
const seqs = (of) => {
  if (typeof of !== "string") return of ?? [];
  const [from, to] = of.split("..").map(Number);
  return upTo(to).slice(from - 1);
};

/** Makes the topic of a case, and says where its reader starts. */
async function prepare(admin, kase, name) {
  const path = `/v1/${name.replace("thread/", "threads/").replace("canvas/", "canvases/")}`;
  const topic = admin.topic(name);
  const fill = async (at, count) => {
    for (let left = count; left > 0; left -= 500) {
      await admin.request("POST", `${at}/events`, { body: upTo(Math.min(left, 500)).map((n) => ({ type: "note", data: { n } })) });
    }
  };
  const mark = async (at) => (await admin.request("GET", at)).cursor.split(".")[0];
  const [[how, value]] = typeof kase.start === "string" ? [[kase.start]] : Object.entries(kase.start);
  let old;
  if (how === "old") {
    await topic.create();
    await fill(path, 5);
    old = await mark(path);
    await admin.request("DELETE", path);
  }
  await topic.create();
  await fill(path, kase.publish);
  if (kase.close === "before") await admin.request("POST", `${path}/close`);
  const begin = async () => {
    switch (how) {
      case "head":
        return {};
      case "earliest":
        return { after: "earliest" };
      case "last":
        return { last: value };
      case "text":
        return { after: value };
      case "after":
        return { after: `${await mark(path)}.${value}` };
      case "old":
        return { after: `${old}.${value}` };
      case "foreign":
        await admin.topic(`${name}-other`).create();
        await fill(`${path}-other`, 5);
        return { after: `${await mark(`${path}-other`)}.${value}` };
    }
  };
  return { path, start: await begin(), fill };
}

async function check(t, { admin, proxy, token }, kase, over, name, { path, start, fill }) {
  const what = `${kase.name} over ${over}, seed ${SEED}`;
  const seen = reading(client(t, proxy.url, token, OVER[over]).topic(name), start);
  if (kase.refused) {
    await until(() => seen.errors.length > 0, what);
    assert.deepEqual([seen.errors[0].status, seen.errors[0].code], kase.refused, what);
    return;
  }
  const expected = [...(kase.gap ? ["gap"] : []), ...seqs(kase.events)];
  if (kase.end !== "over" && kase.close !== "before") await seen.live();
  await seen.has(expected.length);
  if (kase.close === "meanwhile") await admin.request("POST", `${path}/close`);
  else await fill(path, (kase.live ?? []).length);
  expected.push(...(kase.live ?? []));
  await seen.has(expected.length);
  if (kase.delete) await admin.request("DELETE", path);
  if (kase.end) {
    await until(() => seen.over, () => `${what}: ${JSON.stringify(seen.states)}`);
    assert.equal(seen.over, kase.end === "deleted" ? "deleted" : "closed", what);
  } else {
    await fill(path, 1);
    expected.push(kase.publish + (kase.live ?? []).length + 1);
    await seen.has(expected.length);
  }
  assert.deepEqual(seen.seqs(), expected, what);
  assert.deepEqual(seen.errors, [], what);
  const gap = seen.items.find((item) => item.t === "gap");
  if (kase.gap) assert.deepEqual([gap.reason, gap.requested], [kase.gap, start.after], what);
}

/** Takes events away as a trimming hub would, while none runs. */
function trim(directory, trims) {
  const sql = "DELETE FROM events WHERE log = (SELECT id FROM topics WHERE topic = ?1) AND seq <= ?2";
  const script = `import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    for topic, up_to in json.loads(sys.argv[2]):
        assert database.execute(${JSON.stringify(sql)}, (topic, up_to)).rowcount == up_to`;
  execFileSync("python3", ["-c", script, join(directory, "tambour.db"), JSON.stringify(trims)]);
}

for (const file of ["starts", "cursors", "endings", "trimmed"]) {
  for (const over of Object.keys(OVER)) {
    test(`${file} over ${over}`, async (t) => {
      const all = cases(file).map((kase, index) => ({ kase, name: `${index % 2 ? "canvas" : "thread"}/${over}-${index}` }));
      // An answer with a stream token that is cut leaves one that nobody opens.
      const { real, token } = await hubOf(t, { TAMBOUR__TOKENS__OUTSTANDING_MAX: "1000" });
      const next = random(SEED);
      const proxy = await FaultProxy.start(real.port);
      defer(t, () => proxy.stop());
      // The first of each case is cut early, most of the others later, within a block or frame.
      const cut = (number) => (number < all.length ? 50 + Math.floor(next() * 500) : 100 + Math.floor(next() * 3_000));
      proxy.faults = (number) => (number < all.length || next() < 0.5 ? { cutAfter: cut(number), delayMs: next() < 0.2 ? 5 : 0 } : {});
      let admin = client(t, real.url, token, { transports: ["poll"] });
      for (const one of all) one.prepared = await prepare(admin, one.kase, one.name);
      const trims = all.filter(({ kase }) => kase.trim).map(({ kase, name }) => [name.split("/")[1], kase.trim]);
      if (trims.length > 0) {
        await real.kill();
        trim(real.directory, trims);
        await real.start(real.port);
        admin = client(t, real.url, token, { transports: ["poll"] });
      }
      assert.ok(all.length > 5);
      await Promise.all(all.map(({ kase, name, prepared }) => check(t, { admin, proxy, token }, kase, over, name, prepared)));
      assert.ok(proxy.connections > all.length, "connections were cut");
    });
  }
}
