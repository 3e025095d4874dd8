// Which view an URL shows: what stands behind its `#`, which goes to no server.
// Rules alone, and the one signal that says where the page is.
import { signal } from "@preact/signals";

export const VIEWS = ["overview", "threads", "feed", "sessions", "keys", "kill-switch", "audit"] as const;
export type View = (typeof VIEWS)[number];

/** A place: a view, perhaps of one thing (a thread's id), and what it is asked. */
export interface Route {
  view: View;
  id?: string;
  query: URLSearchParams;
}

/** Reads a fragment: `#/threads/welcome?x=y`. What is unknown is the overview. */
export function parse(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#\/?/, "").split("?", 2);
  const [view, ...rest] = path.split("/");
  const known = VIEWS.find((one) => one === view) ?? "overview";
  const id = rest.length > 0 ? decode(rest.join("/")) : undefined;
  return { view: known, id: id || undefined, query: new URLSearchParams(query) };
}

/** Writes one. */
export function href(view: View, id?: string, query?: Record<string, string>): string {
  const asked = query ? `?${new URLSearchParams(query)}` : "";
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${asked}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Where the page is. */
export const route = signal<Route>(parse(typeof location === "undefined" ? "" : location.hash));

/** Goes there without a step back: what is typed would make one of each key. */
export function replace(to: string): void {
  history.replaceState(null, "", to);
  route.value = parse(to);
}

/** Goes there. */
export function go(to: string): void {
  location.hash = to;
}

if (typeof addEventListener === "function") addEventListener("hashchange", () => (route.value = parse(location.hash)));
