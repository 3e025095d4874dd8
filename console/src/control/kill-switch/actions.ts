// What can be switched off, by the names of the hub, in words. The list is complete or this does not compile.
// It knows nothing of what is off.
import type { openapi } from "@tambour/client";

type Single<T> = T extends "*" | `${string}.*` ? never : T;
export type Action = Single<openapi.SwitchedAction>;

export const ACTIONS: Record<Action, string> = {
  "threads.read": "Read a thread, by pages or live",
  "threads.publish": "Publish to a thread",
  "threads.stream": "One thread over a WebSocket of its own",
  "threads.create": "Create a thread",
  "threads.list": "List threads",
  "threads.get": "Get a thread",
  "threads.snapshot": "Get how much of a thread is kept",
  "threads.change": "Change a thread",
  "threads.close": "Close a thread",
  "threads.delete": "Delete a thread",
  "threads.redact": "Take the data of an event away",
  "threads.members.put": "Let somebody in",
  "threads.members.remove": "Take somebody out",
  "canvases.read": "Read a canvas, by pages or live",
  "canvases.publish": "Publish to a canvas",
  "canvases.stream": "One canvas over a WebSocket of its own",
  "canvases.create": "Create a canvas",
  "canvases.list": "List canvases",
  "canvases.get": "Get a canvas",
  "canvases.snapshot": "Get how much of a canvas is kept",
  "canvases.change": "Change a canvas",
  "canvases.close": "Close a canvas",
  "canvases.delete": "Delete a canvas",
  "canvases.redact": "Take the data of an event away",
  "canvases.members.put": "Let somebody in",
  "canvases.members.remove": "Take somebody out",
  "feed.read": "Read the feed",
  "session.open": "Open a WebSocket for any topics",
  "stream.open": "Open a stream of several topics",
  "stream_tokens.create": "Make a token for streams",
  "sessions.list": "List who is connected",
  "sessions.end": "End all sessions of somebody",
  "sessions.end_one": "End one session",
  "keys.list": "List service keys",
  "keys.create": "Make a service key",
  "keys.rotate": "Rotate a service key",
  "keys.revoke": "Revoke a service key",
  "principals.get": "Look somebody up",
  "principals.put": "Suspend somebody, or give another role",
  "revocations.create": "Revoke tokens",
  "limits.show": "Show the limits in force",
};

/** How groups are called: by the first name of an action. */
const GROUPS: Record<string, string> = {
  threads: "Threads",
  canvases: "Canvases",
  feed: "The feed",
  session: "WebSockets",
  stream: "Streams",
  stream_tokens: "Stream tokens",
  sessions: "Sessions",
  keys: "Service keys",
  principals: "People",
  revocations: "Revocations",
  limits: "Limits",
};

/** A line of a group: an action, or a family of them. */
export interface Line {
  name: string;
  words: string;
  family: boolean;
}

export interface Group {
  name: string;
  title: string;
  lines: Line[];
}

/** What a name means; the name itself, if a newer hub knows more than this page. */
export function wordsOfAction(name: string): string {
  if (name === "*") return "Everything but health, the audit and this switch";
  if (!name.endsWith(".*")) return ACTIONS[name as Action] ?? name;
  const [first = "", second] = name.split(".");
  const title = GROUPS[first] ?? first;
  return second === "*" ? `${title}: all of it` : `${title}: all about ${second}`;
}

/** All actions by their first name, families before what is in them; `also` is what the hub has off, known here or not. */
export function groups(also: Iterable<string> = []): Group[] {
  const names = new Set<string>([...Object.keys(ACTIONS), ...[...also].filter((name) => name !== "*")]);
  const of = new Map<string, string[]>(Object.keys(GROUPS).map((name) => [name, []]));
  for (const name of names) {
    const first = name.split(".")[0]!;
    of.set(first, [...(of.get(first) ?? []), name]);
  }
  return [...of].filter(([, has]) => has.length > 0).map(([name, has]) => ({ name, title: GROUPS[name] ?? name, lines: lines(name, has) }));
}

function lines(group: string, names: string[]): Line[] {
  const inner = [...new Set(names.filter((name) => name.split(".").length > 2).map((name) => `${name.split(".").slice(0, -1).join(".")}.*`))];
  // A family of one is that one.
  const whole = names.filter((name) => !name.endsWith(".*")).length > 1 ? [`${group}.*`] : [];
  const all = [...new Set([...whole, ...names.filter((name) => name.split(".").length <= 2), ...inner, ...names])];
  return all.map((name) => ({ name, words: wordsOfAction(name), family: name.endsWith(".*") }));
}

/** Those groups and lines in which `text` is found, by name or in words. */
export function found(all: Group[], text: string): Group[] {
  const sought = text.trim().toLowerCase();
  if (sought === "") return all;
  const has = (said: string) => said.toLowerCase().includes(sought);
  return all
    .map((group) => ({ ...group, lines: has(group.title) ? group.lines : group.lines.filter(({ name, words }) => has(name) || has(words)) }))
    .filter(({ lines }) => lines.length > 0);
}
