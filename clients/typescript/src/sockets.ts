// The WebSockets of one hub object: one for all topics, a second where the first has no room.
// A reader that lost one waits by its own pace; here a socket is made when it is asked for.
import { Socket, type WebSocketClass } from "./socket.js";
import type { Ask, Line, Sink, Wires } from "./wire.js";

/** The pool. */
export class Sockets {
  #open = new Set<Socket>();

  constructor(
    readonly wires: Wires,
    readonly Native: WebSocketClass,
  ) {}

  /** A topic, on a socket that has room. */
  open(ask: Ask, sink: Sink): Line {
    const socket = [...this.#open].find((one) => one.takes(ask.topic)) ?? this.#make();
    return socket.add(ask, sink);
  }

  /** A socket that requests can be sent over now. */
  get ready(): Socket | undefined {
    return [...this.#open].find((socket) => socket.ready);
  }

  /** How many there are. */
  get size(): number {
    return this.#open.size;
  }

  close(): void {
    for (const socket of [...this.#open]) socket.close();
  }

  #make(): Socket {
    const socket: Socket = new Socket(this.wires, this.Native, () => this.#open.delete(socket));
    this.#open.add(socket);
    void socket.open();
    return socket;
  }
}
