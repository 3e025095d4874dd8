// The pure rules of the client, by table: backoff, positions, the ladder of transports, the queue, SSE, tokens, errors.
// No socket, no clock: time and randomness are arguments.
import assert from "node:assert/strict";
import { test } from "node:test";
import { failed, NOT_WAITING, STABLE_MS, waitMs } from "../dist/backoff.js";
import { take } from "../dist/bucket.js";
import { refusalOf, retryAfterMs, verdict } from "../dist/errors.js";
import { eventsOf, pathOf, query } from "../dist/http.js";
import { better, betterInMs, current, inVain, ladder, opened, unopened } from "../dist/ladder.js";
import { at, behind, behindGap, judge, seqOf } from "../dist/position.js";
import { fix, MERGED_TEXT_MAX, offer, settled, without } from "../dist/queue.js";
import { SseParser } from "../dist/sse.js";
import { expiryOf, staleInMs } from "../dist/token.js";
import { random } from "./fault-proxy.mjs";

const BOUNDS = { firstMs: 500, maxMs: 30_000 };

test("a wait is between the floor and the floor plus a ceiling that doubles up to a bound", () => {
  const table = [
    [0, 0, 0, 0],
    [0, 1, 0, 500],
    [1, 1, 0, 1_000],
    [3, 0.5, 0, 2_000],
    [10, 1, 0, 30_000],
    [10_000, 1, 0, 30_000],
    [0, 0, 700, 700],
    [1, 0.5, 700, 1_200],
  ];
  for (const [failures, random, floor, expected] of table) assert.equal(waitMs(failures, random, floor, BOUNDS), expected);
});

test("failures within one wait are one, a stable connection begins anew, and nothing shortens what the hub asked for", () => {
  const first = failed(NOT_WAITING, 1_000, 1, 0, 0, BOUNDS);
  assert.deepEqual(first, { failures: 1, floor: 1_000, until: 1_500 });
  assert.deepEqual(failed(first, 1_200, 1, 0, 0, BOUNDS), { failures: 1, floor: 1_200, until: 1_500 }, "another reader of the same socket");
  assert.deepEqual(failed(first, 1_200, 1, 5_000, 0, BOUNDS), { failures: 1, floor: 6_200, until: 6_200 });
  const second = failed(first, 1_600, 1, 0, 0, BOUNDS);
  assert.deepEqual([second.failures, second.until], [2, 2_600]);
  assert.equal(failed(second, 9_000, 1, 0, STABLE_MS, BOUNDS).failures, 1);
  assert.equal(failed(second, 9_000, 1, 0, STABLE_MS - 1, BOUNDS).failures, 3);
});

test("what an event is to a reader", () => {
  const plain = (seq) => ({ id: `a.${seq}`, seq });
  const folded = (seq, until) => ({ ...plain(seq), fold: { until: `a.${until}` } });
  const fed = (seq, place) => ({ ...plain(seq), feed_id: `f.${place}` });
  const table = [
    [{}, plain(7), false, "next"],
    [{ seq: 6 }, plain(7), false, "next"],
    [{ seq: 7 }, plain(7), false, "repeat"],
    [{ seq: 9 }, plain(7), false, "repeat"],
    [{ seq: 5 }, plain(7), false, "hole"],
    [{ seq: 0 }, plain(1), false, "next"],
    [{ seq: 5 }, plain(7), true, "next"],
    [{ seq: 8 }, folded(3, 9), true, "next"],
    [{ seq: 9 }, folded(3, 9), true, "repeat"],
    [{ seq: 9 }, plain(3), true, "repeat"],
    [{ seq: 5 }, fed(1, 9), true, "next"],
    [{ seq: 9 }, fed(12, 9), true, "repeat"],
    [{ seq: 9 }, fed(10, 8), true, "repeat"],
    [{}, fed(1, 9), true, "next"],
  ];
  for (const [position, event, sparse, expected] of table) assert.equal(judge(position, event, sparse), expected, JSON.stringify([position, event]));
  assert.deepEqual(behind(plain(7)), { cursor: "a.7", seq: 7 });
  assert.deepEqual(behind(folded(3, 9)), { cursor: "a.9", seq: 9 });
  assert.deepEqual(behind(fed(3, 9)), { cursor: "f.9", seq: 9 });
  assert.deepEqual([at("f.9"), at("earliest")], [{ cursor: "f.9", seq: 9 }, { cursor: "earliest", seq: undefined }]);
  assert.deepEqual(behindGap("a.5", "earliest"), { cursor: "earliest", seq: 4 });
  const seqs = [["a.7", 7], ["a.b.0", 0], ["earliest", undefined], [undefined, undefined], ["a.18446744073709551615", undefined]];
  for (const [cursor, seq] of seqs) assert.equal(seqOf(cursor), seq);
});

/**
 * What a reader gives on of a log with `places`, where every connection tells it from the place asked for, and each is cut
 * somewhere; some repeat what came before, as one that takes over does. `sparse`: what it may not see is left out.
 */
function readThrough(next, places, sees, sparse) {
  const event = (place) => (sparse ? { id: `x.${place % 5}`, seq: place % 5, feed_id: `f.${place}` } : { id: `f.${place}`, seq: place });
  let position = at("earliest");
  const given = [];
  for (let lives = 0; lives < 200 && (position.seq ?? 0) < places.at(-1); lives++) {
    const from = Math.max(0, (position.seq ?? 0) - (next() < 0.3 ? Math.floor(next() * 6) : 0));
    const told = places.filter((place) => place > from && (!sparse || sees(place)));
    let left = Math.floor(next() * 8);
    for (const place of told) {
      if (left-- === 0) break;
      const is = judge(position, event(place), sparse);
      assert.notEqual(is, "hole");
      if (is !== "next") continue;
      given.push(place);
      position = behind(event(place));
    }
    // Behind a whole stretch of a feed comes the place where it ends.
    if (sparse && left >= 0) position = at(`f.${places.at(-1)}`);
  }
  return given;
}

test("a reader gives on what is in a log, once and in order, where places follow one another and where they don't", () => {
  for (let seed = 0; seed < 500; seed++) {
    const next = random(seed);
    const count = 1 + Math.floor(next() * 40);
    const dense = Array.from({ length: count }, (_, index) => index + 1);
    assert.deepEqual(readThrough(next, dense, () => true, false), dense, `seed ${seed}`);
    let place = 0;
    const holes = dense.map(() => (place += 1 + Math.floor(next() * 9)));
    const sees = (at) => at % 3 !== seed % 3;
    assert.deepEqual(readThrough(next, holes, sees, true), holes.filter(sees), `seed ${seed}, with holes`);
  }
  // What is missing is seen where places follow one another, and only there.
  assert.equal(judge({ seq: 3 }, { id: "f.5", seq: 5 }, false), "hole");
});

test("a transport that never opens gives way, one that worked later, and a better one is tried again", () => {
  const rungs = ["ws", "sse", "poll"];
  let now = ladder(rungs, undefined, 1_000, 0);
  assert.equal(current(now), "ws");
  assert.equal(current(unopened(now, "ws", 1, 10)), "ws", "once at once says little");
  now = unopened(now, "ws", 2, 10);
  assert.equal(current(now), "sse");
  assert.equal(unopened(now, "ws", 2, 10), now, "what another reader says of a transport that was left");
  now = opened(now, "sse");
  for (const [weight, expected] of [[2, "sse"], [1, "sse"], [1, "poll"], [1, "poll"], [1, "ws"]]) {
    now = unopened(now, current(now), weight, 20);
    assert.equal(current(now), expected);
  }
  now = unopened(now, "ws", 2, 100);
  assert.deepEqual([betterInMs(now, "sse", 1_099), betterInMs(now, "sse", 9_999), better(now, "sse")], [1, 0, "ws"]);
  assert.deepEqual([betterInMs(now, "poll", 0), better(now, "poll")], [0, "sse"], "another reader has found a better one");
  now = inVain(now, 1_100);
  assert.deepEqual([now.betterAt, now.betterMs], [3_100, 2_000]);
  assert.equal(inVain(now, 1_100), now, "several readers tried the same");
  assert.equal(current(opened(now, "ws")), "ws");
  assert.equal(betterInMs(opened(now, "ws"), "ws", 9_999), undefined);
  assert.equal(current(opened(opened(now, "ws"), "sse")), "ws", "a worse one that opens late");
  assert.equal(current(ladder(rungs, "poll", 1_000, 0)), "poll", "remembered");
  assert.equal(current(ladder(rungs, "carrier pigeon", 1_000, 0)), "ws");
});

test("texts are merged while they wait, in order, within bounds", () => {
  const append = (data, more = {}) => ({ key: data, kind: "append", target: "e", data, fixed: false, waiting: [data], ...more });
  const publish = (data) => ({ key: data, kind: "publish", type: "note", data, fixed: false, waiting: [data] });
  let list = [];
  for (const entry of [append("a"), append("b"), publish("1"), append("c"), append("d", { target: "f" }), append("e", { target: "f", fixed: true })]) {
    list = offer(list, entry, 10);
  }
  assert.deepEqual(list.map((entry) => entry.data), ["ab", "1", "c", "d", "e"]);
  assert.deepEqual(list[0].waiting, ["a", "b"]);
  const sent = fix(offer([], append("a"), 1));
  assert.deepEqual(offer(sent, append("b"), 1).map((entry) => entry.data), ["a", "b"], "what was sent stays as it is");
  assert.equal(offer(sent, append("b"), 0), undefined, "full");
  assert.deepEqual(offer([append("a")], append("b"), 0).map((entry) => entry.data), ["ab"], "full, but merged");
  assert.equal(offer([append("a")], append("x".repeat(MERGED_TEXT_MAX)), 1).length, 2);
  assert.deepEqual(settled(list).map((entry) => entry.data), ["1", "c", "d", "e"]);
  assert.deepEqual(without(list, "1", true).map((entry) => entry.data), ["ab", "c", "d", "e"]);
  assert.equal(without(list, "a", false).length, 5, "others wait for it");
  assert.equal(without([publish("1")], "1", true).length, 1, "it was sent");
});

test("a stream of events is the same wherever it is cut", () => {
  const text = ": hi\r\n\r\nid: a.1\ndata: {\"x\":\ndata: 1}\n\nretry: 50\r\rretry: x\nid:a\0b\ndata\n\n: \n\nevent: e\ndata:  two\n\n";
  const expected = [{}, { id: "a.1", data: '{"x":\n1}' }, { retry: 50 }, { data: "" }, {}, { data: " two" }];
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new SseParser();
    assert.deepEqual([...parser.take(text.slice(0, cut)), ...parser.take(text.slice(cut))], expected, `cut at ${cut}`);
  }
  const parser = new SseParser();
  assert.deepEqual([...text].flatMap((one) => parser.take(one)), expected);
});

test("frames are sent no faster than they may be", () => {
  let bucket = { left: 2, at: 0 };
  const taken = [0, 0, 0, 400, 500, 500].map((now) => {
    const answer = take(bucket, now, 2);
    bucket = answer.bucket;
    return answer.waitMs;
  });
  assert.deepEqual(taken, [0, 0, 500, 100, 0, 500]);
});

test("a token is replaced ahead of its end, a short one behind half of its life", () => {
  const token = (claims) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
  assert.equal(expiryOf(token({ exp: 12, sub: "ä>?" })), 12_000);
  for (const none of [token({}), "tst_abc", "a.b", ""]) assert.equal(expiryOf(none), undefined);
  const table = [[0, 3_600_000, 3_539_999, 1], [0, 3_600_000, 3_540_000, 0], [0, 10_000, 4_999, 1], [0, 10_000, 5_500, 0], [0, undefined, 1e15, Infinity]];
  for (const [taken, expires, now, expected] of table) assert.equal(staleInMs(taken, expires, now), expected);
});

test("what is done about an error", () => {
  const table = [
    ["auth.token_expired", 401, "token"],
    ["auth.wrong_tier", 401, "final"],
    ["rate.limited", 429, "retry"],
    ["draining", 503, "retry"],
    ["store.full", 507, "retry"],
    ["http.502", 502, "retry"],
    ["body.late", 408, "retry"],
    ["client.network", 0, "retry"],
    ["client.token", 0, "retry"],
    ["session.ended", 403, "retry"],
    ["auth.suspended", 403, "final"],
    ["topic.closed", 409, "final"],
    ["client.closed", 0, "final"],
  ];
  for (const [code, status, expected] of table) assert.equal(verdict({ code, status }), expected, code);
  const gone = refusalOf({ code: "cursor.gone", status: 410, detail: "…", reason: "trimmed", oldest: "a.5", newest: "a.9", request_id: "r" }, 0, "x", 0);
  assert.deepEqual([gone.reason, gone.oldest, gone.newest, gone.requestId, gone.message], ["trimmed", "a.5", "a.9", "r", "cursor.gone: …"]);
  const odd = refusalOf({ code: 7, status: "error", retry_after_ms: 5 }, 502, "http.502", 9);
  assert.deepEqual([odd.code, odd.status, odd.retryAfterMs, odd.detail, odd.name], ["http.502", 502, 9, "", "HubError"]);
  const now = Date.parse("2026-11-22T08:00:00Z");
  const headers = [["3", 3_000], ["Sun, 22 Nov 2026 08:00:05 GMT", 5_000], ["Sun, 22 Nov 2026 07:00:00 GMT", 0], ["soon", undefined], [null, undefined]];
  for (const [header, expected] of headers) assert.equal(retryAfterMs(header, now), expected);
});

test("paths and queries", () => {
  assert.equal(pathOf("thread/a:b"), "/v1/threads/a%3Ab");
  assert.equal(pathOf("canvas/x"), "/v1/canvases/x");
  for (const none of ["x", "thread/", "room/x", ""]) assert.throws(() => pathOf(none), TypeError);
  assert.equal(query({ after: "a.1", last: undefined, fold: false, limit: 5 }), "?after=a.1&limit=5");
  assert.equal(query({ last: 0 }), "?last=0");
  assert.equal(query({}), "");
  assert.equal(query({ types: ["thread.*", "note"], topics: undefined }), "?types=thread.*%2Cnote");
  assert.deepEqual([eventsOf("canvas/x"), eventsOf("feed")], ["/v1/canvases/x/events", "/v1/feed"]);
  assert.throws(() => pathOf("feed"), TypeError);
});
