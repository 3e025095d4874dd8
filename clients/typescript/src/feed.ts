// The feed of a hub: what happens in all topics of a tenant and env that its reader may see. It is read as a topic is.
// Nobody writes to it.
import { type FeedPageOptions, Log } from "./log.js";
import type { Routing } from "./openapi.js";
import type { FeedEvent, FeedOptions, Types } from "./types.js";

/** Everything that happens, in the order in which it was committed. */
export class Feed<M extends Types = Types> extends Log<FeedEvent<M>, FeedOptions, FeedPageOptions> {}

/** The topic that an event is of: `thread/x`, `canvas/x`, or `system/tenant`, whose `data.topic` says what it tells about. */
export function topicOf({ routing: { thread_id, canvas_id, system_id } }: { routing: Routing }): string {
  return thread_id ? `thread/${thread_id}` : canvas_id ? `canvas/${canvas_id}` : `system/${system_id}`;
}
