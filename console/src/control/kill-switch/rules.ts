// What is off, what is wanted, and what follows from both: sets of items, and nothing else.
// It never asks the hub.
import type { openapi } from "@tambour/client";
import { wordsOfAction } from "./actions";

/** `agents`, `action:threads.*` or `provider:acme`. */
export type Item = string;
/** What somebody wants changed, not yet in force: by item, whether it is to be off. */
export type Wanted = ReadonlyMap<Item, boolean>;

export const AGENTS: Item = "agents";
export const PROVIDERS_MAX = 64;
export const actionItem = (name: string): Item => `action:${name}`;
export const providerItem = (name: string): Item => `provider:${name}`;
const EVERYTHING = actionItem("*");

/** What is off. */
export function offOf(now: openapi.KillSwitch): Set<Item> {
  return new Set([...(now.disable_autonomy ? [AGENTS] : []), ...now.disable_providers.map(providerItem), ...now.disabled_actions.map(actionItem)]);
}

/** What is wanted and not so: what somebody else did meanwhile is no change any more. */
export function pending(off: ReadonlySet<Item>, wanted: Wanted): Map<Item, boolean> {
  return new Map([...wanted].filter(([item, to]) => off.has(item) !== to));
}

/** What will be off. */
export function applied(off: ReadonlySet<Item>, wanted: Wanted): Set<Item> {
  const all = new Set(off);
  for (const [item, to] of wanted) {
    if (to) all.add(item);
    else all.delete(item);
  }
  return all;
}

/** What else of `off` has this action off: a family of it, or all. */
export function coveredBy(item: Item, off: ReadonlySet<Item>): string | undefined {
  if (!item.startsWith("action:") || item === EVERYTHING) return undefined;
  if (off.has(EVERYTHING)) return "*";
  const names = item.slice("action:".length).replace(/\.\*$/, "").split(".");
  for (let count = 1; count <= names.length; count += 1) {
    const family = `${names.slice(0, count).join(".")}.*`;
    if (actionItem(family) !== item && off.has(actionItem(family))) return family;
  }
  return undefined;
}

/** What is sent: all that is to be off, because it takes the place of all that was. */
export function bodyOf(off: ReadonlySet<Item>, reason: string): openapi.PutKillSwitch {
  const named = (kind: string) => [...off].filter((item) => item.startsWith(kind)).map((item) => item.slice(kind.length)).sort();
  return {
    disabled_actions: named("action:") as openapi.SwitchedAction[],
    disable_autonomy: off.has(AGENTS),
    disable_providers: named("provider:"),
    ...(reason.trim() && { reason: reason.trim() }),
  };
}

/** Whether two say the same. */
export function same(one: ReadonlySet<Item>, other: ReadonlySet<Item>): boolean {
  return one.size === other.size && [...one].every((item) => other.has(item));
}

/** An item, in words and as the hub calls it. */
export function said(item: Item): { words: string; name?: string } {
  if (item === AGENTS) return { words: "Agents may only read" };
  if (item.startsWith("provider:")) return { words: "Work with the provider", name: item.slice("provider:".length) };
  const name = item.slice("action:".length);
  return { words: wordsOfAction(name), name };
}

/** The gravest first: all, agents, families, providers, single actions. */
export function ordered(items: Iterable<Item>): Item[] {
  const weight = (item: Item) => (item === EVERYTHING ? 0 : item === AGENTS ? 1 : item.endsWith(".*") ? 2 : item.startsWith("provider:") ? 3 : 4);
  return [...items].sort((one, other) => weight(one) - weight(other) || (one < other ? -1 : 1));
}

/** A provider as the hub takes it, or what is wrong with it. */
export function providerOf(text: string, off: ReadonlySet<Item>): { name: string } | { wrong: string } {
  const name = text.trim().toLowerCase();
  if (!/^[a-z0-9_.-]{1,64}$/.test(name)) return { wrong: "A provider has 1 to 64 letters a to z, digits, “_”, “.” and “-”." };
  if (off.has(providerItem(name))) return { wrong: `${name} is off already.` };
  if ([...off].filter((item) => item.startsWith("provider:")).length >= PROVIDERS_MAX) return { wrong: `At most ${PROVIDERS_MAX} providers can be off.` };
  return { name };
}
