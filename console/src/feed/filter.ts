// What of the feed somebody wants to see: as it is typed, as it stands in the URL, as the hub is asked, and as an event
// meets it. Rules alone: nothing here reads a page or asks a hub.
import { type FeedEvent, topicOf } from "@tambour/client";

/** What can be typed, by the names that it has in the URL. */
export const FIELDS = ["type", "topic", "person", "text", "trace"] as const;
export type Field = (typeof FIELDS)[number];
export type Typed = Record<Field, string>;

/** What it means. The hub leaves out what `types` and `topics` do not name; the rest is left out here. */
export interface Filter {
  types: readonly string[];
  topics: readonly string[];
  person: string;
  text: string;
  trace: string;
}

/** Types, and topics, that the hub takes at most. */
export const NAMES_MAX = 32;
const TYPE = /^[a-z][a-z0-9_.]{0,63}\*?$/;
const TOPIC = /^((thread|canvas)\/[A-Za-z0-9_.:-]{1,128}|system\/tenant)$/;

/** As it stands in the URL. */
export function typedIn(query: URLSearchParams): Typed {
  return Object.fromEntries(FIELDS.map((field) => [field, query.get(field) ?? ""])) as Typed;
}

/** As it is to stand there: without what is empty. */
export function queryOf(typed: Partial<Typed>): Record<string, string> | undefined {
  const said = FIELDS.flatMap((field) => (typed[field]?.trim() ? [[field, typed[field].trim()]] : []));
  return said.length > 0 ? Object.fromEntries(said) : undefined;
}

/** What was typed, understood; what can't be is left out, and `problemsOf` says so. */
export function filterOf(typed: Typed): Filter {
  const wrong = problemsOf(typed);
  return {
    types: wrong.type ? [] : names(typed.type),
    topics: wrong.topic ? [] : names(typed.topic).map(asTopic),
    person: typed.person.trim().toLowerCase(),
    text: typed.text.trim().toLowerCase(),
    trace: asTrace(typed.trace),
  };
}

/** What is wrong with what was typed, for people. */
export function problemsOf(typed: Typed): Partial<Record<Field, string>> {
  const wrong: Partial<Record<Field, string>> = {};
  const types = names(typed.type);
  const topics = names(typed.topic).map(asTopic);
  const type = types.find((name) => name !== "*" && !TYPE.test(name));
  const topic = topics.find((name) => !TOPIC.test(name));
  if (type !== undefined) wrong.type = `“${type}” is no type. Types look like chat_message, or thread.* for all that begin so.`;
  else if (types.length > NAMES_MAX) wrong.type = `At most ${NAMES_MAX} types.`;
  if (topic !== undefined) wrong.topic = `“${topic}” is no topic. Topics look like thread/plan, canvas/sketch or system/tenant.`;
  else if (topics.length > NAMES_MAX) wrong.topic = `At most ${NAMES_MAX} topics.`;
  return wrong;
}

/** How the hub is asked for it. */
export function asked({ types, topics }: Filter): { types?: string[]; topics?: string[] } {
  // All types is the same as none named.
  const some = types.includes("*") ? [] : types;
  return { types: some.length > 0 ? [...some] : undefined, topics: topics.length > 0 ? [...topics] : undefined };
}

/** Whether two filters ask the hub for the same. */
export function sameAsked(one: Filter, other: Filter): boolean {
  return JSON.stringify(asked(one)) === JSON.stringify(asked(other));
}

/** Whether there is something that the hub does not look at, so that a page of it may have nothing of interest. */
export const narrows = ({ person, text, trace }: Filter): boolean => Boolean(person || text || trace);

/** Which events meet it. Each is looked at once, because data may be long and rows are drawn often. */
export function meets(filter: Filter): (event: FeedEvent) => boolean {
  const seen = new WeakMap<FeedEvent, boolean>();
  return (event) => {
    const known = seen.get(event);
    if (known !== undefined) return known;
    const is = isMet(filter, event);
    seen.set(event, is);
    return is;
  };
}

function isMet({ types, topics, person, text, trace }: Filter, event: FeedEvent): boolean {
  if (types.length > 0 && !types.some((type) => ofType(type, event.type))) return false;
  if (topics.length > 0 && !topics.some((topic) => topic === topicOf(event) || topic === about(event))) return false;
  const { actor_id, acts_for } = event.routing;
  if (person && ![actor_id, acts_for].some((name) => name?.toLowerCase().includes(person))) return false;
  const { trace_id, request_id } = event.meta;
  if (trace && trace !== trace_id && trace !== request_id) return false;
  return !text || says(event.data, text) || [event.type, topicOf(event), event.id].some((name) => name.toLowerCase().includes(text));
}

function ofType(wanted: string, type: string): boolean {
  return wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

/** The topic that an event of `system/tenant` tells about. */
export function about({ routing, data }: FeedEvent): string | undefined {
  const topic: unknown = routing.system_id ? (data as { topic?: unknown } | null)?.topic : undefined;
  return typeof topic === "string" ? topic : undefined;
}

/** Whether a text is somewhere in data, as people read it: not as JSON writes it. `text` is in lower case. */
function says(data: unknown, text: string): boolean {
  if (data === null || data === undefined) return false;
  if (typeof data !== "object") return String(data).toLowerCase().includes(text);
  if (Array.isArray(data)) return data.some((part) => says(part, text));
  return Object.entries(data).some(([name, part]) => name.toLowerCase().includes(text) || says(part, text));
}

const names = (typed: string): string[] => [...new Set(typed.split(/[\s,]+/).filter(Boolean))];

/** A thread may be called by its id alone. */
const asTopic = (name: string): string => (name.includes("/") ? name : `thread/${name}`);

/** An id; or a whole `traceparent`, as it is found in logs. */
function asTrace(typed: string): string {
  const said = typed.trim();
  return /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(said)?.[1] ?? said;
}
