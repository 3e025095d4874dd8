// Which threads a list shows, and in what order. Rules alone.
import type { openapi } from "@tambour/client";

export type Order = "newest" | "title";

/** Threads that are asked for; those behind them, by id, are not shown. */
export const THREADS_MAX = 2_000;

/** What a thread is called. */
export const nameOf = ({ title, id }: Pick<openapi.Topic, "title" | "id">): string => title?.trim() || id;

/** Those whose title or id has every word that is looked for. */
export function listed(threads: readonly openapi.Topic[], looked: string, order: Order): openapi.Topic[] {
  const words = fold(looked).split(/\s+/).filter(Boolean);
  const found = threads.filter((thread) => {
    const text = fold(`${nameOf(thread)} ${thread.id}`);
    return words.every((word) => text.includes(word));
  });
  const byName = (a: openapi.Topic, b: openapi.Topic) => nameOf(a).localeCompare(nameOf(b), undefined, { numeric: true, sensitivity: "base" }) || a.id.localeCompare(b.id);
  return found.sort(order === "title" ? byName : (a, b) => b.created_at.localeCompare(a.created_at) || byName(a, b));
}

const fold = (text: string): string => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
