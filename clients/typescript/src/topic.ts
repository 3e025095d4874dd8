// One topic of a hub: read it, write to it.
// It holds no connection; those are the readers' and the outbox's.
import { pathOf } from "./http.js";
import { Log, type PageOptions } from "./log.js";
import type { Topic as Shown } from "./openapi.js";
import type { Target } from "./queue.js";
import type { ReadOptions, TopicEvent, Types, Written, WriteOptions } from "./types.js";

/** A thread or a canvas. */
export class Topic<M extends Types = Types> extends Log<TopicEvent<M>, ReadOptions, PageOptions> {
  /**
   * Publishes an event: once and in order, whatever becomes of connections meanwhile. Answers when it is on disk. Fails
   * with `HubError`: a refusal that would come again, or `client.queue_full`.
   */
  publish<K extends keyof M & string>(type: K, data: M[K], options: WriteOptions = {}): Promise<Written> {
    return this.core.outbox.submit(this.name, { kind: "publish", type, data: JSON.stringify(data ?? null) }, options);
  }

  /**
   * Appends text to an event of one's own: its id, or what `publish` gave. Texts that wait are sent as one. Need not be
   * awaited: what is refused is told by `flush`, too.
   */
  append(target: Target, text: string, options: WriteOptions = {}): Promise<Written> {
    const written = this.core.outbox.submit(this.name, { kind: "append", target, data: text }, options);
    written.catch(() => {});
    return written;
  }

  /** When everything is written; fails with what was refused to an append. */
  flush(): Promise<void> {
    return this.core.outbox.flush(this.name);
  }

  /** Asks the producer of an event to stop: publishes `stop`. */
  async stop(target: Target, options: WriteOptions & { reason?: string } = {}): Promise<Written> {
    const event = await target;
    const data = { event_id: typeof event === "string" ? event : event.id, reason: options.reason };
    return this.core.outbox.submit(this.name, { kind: "publish", type: "stop", data: JSON.stringify(data) }, options);
  }

  /** Makes the topic. Fails with `topic.exists` where it is there. */
  create(about: { title?: string; visibility?: Shown["visibility"]; members?: Shown["members"] } = {}, signal?: AbortSignal): Promise<Shown> {
    const path = pathOf(this.name);
    const at = path.lastIndexOf("/");
    const body = JSON.stringify({ id: decodeURIComponent(path.slice(at + 1)), ...about });
    return this.core.http.request<Shown>("POST", path.slice(0, at), { body, signal });
  }
}
