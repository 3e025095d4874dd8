// A TCP proxy that misbehaves: it refuses, cuts after so many bytes, delays, swallows, buffers streams, lets no WebSocket
// through, or changes single WebSocket frames of the hub. It never makes up an answer of a hub by itself.
import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * What is done to a connection:
 * `refuse` it ends at once · `cutAfter` bytes of the hub it is cut, within a frame too · `cutAfterUp` the same of the client ·
 * `delayMs` before each piece of the hub · `swallow` nothing goes either way, and nobody is told · `noUpgrade` a WebSocket's request
 * ends it · `holdStreams` what the hub sends to a request for SSE comes when the stream has ended · `frame` is given each
 * text frame of the hub and gives those to send.
 */
export class FaultProxy {
  #server;
  #target;
  #pairs = new Set();
  connections = 0;
  /** Of the next connections, by their number from 0. @type {(number: number) => object} */
  faults = () => ({});

  static async start(port) {
    const proxy = new FaultProxy();
    proxy.#target = port;
    proxy.#server = createServer((client) => proxy.#join(client)).listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /** The hub is elsewhere now. */
  set target(port) {
    this.#target = port;
  }

  /** Cuts what there is. */
  cutAll() {
    for (const pair of this.#pairs) pair.cut();
  }

  /** From now on nothing comes through what is open, and nobody is told. */
  swallowAll() {
    for (const pair of this.#pairs) pair.plan = { ...pair.plan, swallow: true };
  }

  async stop() {
    this.faults = () => ({ refuse: true });
    this.cutAll();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client) {
    const plan = this.faults(this.connections++);
    client.on("error", () => {});
    if (plan.refuse) return client.resetAndDestroy();
    const hub = connect(this.#target, "127.0.0.1");
    const pair = { plan, down: 0, up: 0, held: undefined, cut: () => (client.resetAndDestroy(), hub.destroy(), this.#pairs.delete(pair)) };
    this.#pairs.add(pair);
    hub.on("error", () => pair.cut());
    client.on("data", (piece) => this.#up(pair, piece, client, hub));
    hub.on("data", (piece) => this.#down(pair, piece, client));
    hub.on("end", () => {
      if (pair.held) client.write(Buffer.concat(pair.held));
      if (!pair.plan.swallow) client.end();
    });
    client.on("close", () => (hub.destroy(), this.#pairs.delete(pair)));
    hub.on("close", () => pair.plan.swallow || client.end());
  }

  #up(pair, piece, client, hub) {
    if (pair.plan.swallow) return;
    const head = piece.toString("latin1");
    if (pair.plan.noUpgrade && /upgrade: websocket/i.test(head)) return pair.cut();
    if (pair.plan.holdStreams && /accept: text\/event-stream/i.test(head)) pair.held ??= [];
    if (pair.plan.frame && /upgrade: websocket/i.test(head)) pair.frames = new Frames(pair.plan.frame);
    pair.up += piece.length;
    if (pair.plan.cutAfterUp !== undefined && pair.up > pair.plan.cutAfterUp) {
      hub.write(piece.subarray(0, piece.length - (pair.up - pair.plan.cutAfterUp)));
      return pair.cut();
    }
    hub.write(piece);
  }

  async #down(pair, piece, client) {
    const { plan } = pair;
    if (plan.delayMs) {
      // Behind one another, so that nothing is overtaken.
      pair.turn = (pair.turn ?? Promise.resolve()).then(() => new Promise((later) => setTimeout(later, plan.delayMs)));
      await pair.turn;
    }
    if (plan.swallow || client.destroyed) return;
    if (pair.held) return void pair.held.push(piece);
    const given = pair.frames ? pair.frames.take(piece) : piece;
    pair.down += given.length;
    if (plan.cutAfter === undefined || pair.down <= plan.cutAfter) return void client.write(given);
    const rest = given.subarray(0, Math.max(0, given.length - (pair.down - plan.cutAfter)));
    client.write(rest, () => pair.cut());
  }
}

/** The hub's frames, taken apart and put together again (RFC 6455, 5.2; a hub masks nothing). */
class Frames {
  #rest = Buffer.alloc(0);
  #isHead = true;

  constructor(change) {
    this.change = change;
  }

  take(piece) {
    this.#rest = Buffer.concat([this.#rest, piece]);
    const out = [];
    if (this.#isHead) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return Buffer.alloc(0);
      out.push(this.#rest.subarray(0, end + 4));
      this.#rest = this.#rest.subarray(end + 4);
      this.#isHead = false;
    }
    for (let frame; (frame = this.#next()); ) {
      const isText = (frame.bytes[0] & 0x0f) === 1;
      out.push(...(isText ? this.change(JSON.parse(frame.payload)).map((one) => encode(JSON.stringify(one))) : [frame.bytes]));
    }
    return Buffer.concat(out);
  }

  #next() {
    const rest = this.#rest;
    if (rest.length < 2) return undefined;
    const short = rest[1] & 0x7f;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (rest.length < head) return undefined;
    const length = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short;
    if (rest.length < head + length) return undefined;
    this.#rest = rest.subarray(head + length);
    return { bytes: rest.subarray(0, head + length), payload: rest.subarray(head, head + length).toString() };
  }
}

function encode(text) {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, payload]);
}

/** Random numbers in 0..1 that a seed repeats (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
