// An event in one line of words: what it says, who did it, when, and how long after another. Rules alone; what they give is
// text, never markup.
import { type FeedEvent, topicOf } from "@tambour/client";
import { about } from "./filter";

/** Characters of an event that a row shows; the rest is in the inspector. */
const EXCERPT_MAX = 240;
/** Members of data that say what people want to read, the best first. */
const TELLING = ["text", "delta", "message", "title", "name", "reason"] as const;

/** What an event says, in one line. */
export function excerpt(event: FeedEvent): string {
  if (event.redacted) return "redacted";
  const { data, type } = event as { data: unknown; type: string };
  if (typeof data === "string") return oneLine(data);
  if (!isObject(data)) return data === null || data === undefined ? "" : oneLine(JSON.stringify(data));
  // The topic is in the row already.
  if (about(event) !== undefined) return oneLine(members(data, "topic"));
  // The text of an append is beside the event that it is for.
  const text = type === "append" ? data.data : telling(data);
  return oneLine(typeof text === "string" ? text : JSON.stringify(data));
}

function members(data: Record<string, unknown>, without: string): string {
  const rest = Object.entries(data).filter(([name]) => name !== without);
  return rest.map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
}

function telling(data: Record<string, unknown>): unknown {
  const name = TELLING.find((name) => typeof data[name] === "string" && data[name] !== "");
  return name && data[name];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Blanks of all kinds are one blank, and what is too long is cut between characters. */
function oneLine(text: string): string {
  const line = text.slice(0, EXCERPT_MAX * 4).replace(/[\s\p{Cc}]+/gu, " ").trim();
  const characters = [...line];
  return characters.length > EXCERPT_MAX ? `${characters.slice(0, EXCERPT_MAX).join("")}…` : line;
}

/** Who did it: a service key says for whom. */
export function personOf({ routing: { actor_id, acts_for } }: FeedEvent): string {
  return acts_for ? `${actor_id} for ${acts_for}` : actor_id;
}

/** Where the view of a topic is, where there is one. */
export function threadOf(topic: string): string | undefined {
  return topic.startsWith("thread/") ? topic.slice("thread/".length) : undefined;
}

/** The topic that a row is about: of what is said beside topics, the one that it tells about. */
export const shownTopic = (event: FeedEvent): string => about(event) ?? topicOf(event);

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

/** The clock, to the millisecond. */
export function clock(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time : CLOCK.format(at);
}

/** How long after the first of a trace. */
export function after(first: string, time: string): string {
  const ms = Date.parse(time) - Date.parse(first);
  if (Number.isNaN(ms)) return time;
  const size = Math.abs(ms);
  const sign = ms < 0 ? "−" : "+";
  if (size < 1_000) return `${sign}${size} ms`;
  if (size < 60_000) return `${sign}${(size / 1_000).toFixed(2)} s`;
  if (size < 3_600_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return `${sign}${(size / 3_600_000).toFixed(1)} h`;
}
