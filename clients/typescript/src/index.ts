// @tambour/client: what users of the package see.
// Nothing else of it is meant to be imported.
export type { Backoff } from "./backoff.js";
export { type ErrorCode, HubError } from "./errors.js";
export type { EventSourceClass } from "./eventsource.js";
export { Feed, topicOf } from "./feed.js";
export { Hub, type HubOptions } from "./hub.js";
export type { Transport } from "./ladder.js";
export type * as openapi from "./openapi.js";
export type { Target } from "./queue.js";
export type { WebSocketClass } from "./socket.js";
export type { TokenProvider } from "./token.js";
export type { FeedPageOptions, Log, Page, PageOptions, Subscription } from "./log.js";
export { Topic } from "./topic.js";
export type * from "./types.js";
