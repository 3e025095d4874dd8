// The threads that one may see, to choose from. It loads nothing.
import type { openapi } from "@tambour/client";
import { useMemo, useState } from "preact/hooks";
import { Standing } from "../parts";
import type { Resource } from "../parts/resource";
import { href } from "../route";
import { listed, nameOf, type Order, THREADS_MAX } from "./listing";

export interface Threads {
  threads: openapi.Topic[];
  /** There are more than are asked for. */
  more: boolean;
}

export function List({ found, chosen, create }: { found: Resource<Threads>; chosen?: string; create: () => void }) {
  const [looked, look] = useState("");
  const [order, sort] = useState<Order>("newest");
  const all = found.value?.threads;
  const shown = useMemo(() => listed(all ?? [], looked, order), [all, looked, order]);
  return (
    <section class="list" aria-label="All threads">
      <header>
        <h1 tabIndex={-1}>Threads</h1>
        <button type="button" onClick={create} aria-haspopup="dialog">
          New thread
        </button>
      </header>
      <div class="look">
        <input type="search" aria-label="Find a thread" placeholder="Find" value={looked} onInput={(event) => look(event.currentTarget.value)} />
        <select aria-label="Order" value={order} onChange={(event) => sort(event.currentTarget.value as Order)}>
          <option value="newest">Newest</option>
          <option value="title">By title</option>
        </select>
      </div>
      <Standing of={found} />
      <ul>
        {shown.map((thread) => (
          <One key={thread.id} thread={thread} chosen={thread.id === chosen} />
        ))}
      </ul>
      <p class="empty" role="status">
        {said(all, shown.length, looked)}
      </p>
      {found.value?.more && <p class="empty">Only the first {THREADS_MAX.toLocaleString()} by id are listed; others open by their address.</p>}
    </section>
  );
}

function said(all: openapi.Topic[] | undefined, shown: number, looked: string): string {
  if (!all) return "";
  if (all.length === 0) return "There is no thread that you may see. Make the first.";
  if (looked.trim() === "") return "";
  return shown === 0 ? "No thread is called that." : `${shown} of ${all.length}`;
}

function One({ thread, chosen }: { thread: openapi.Topic; chosen: boolean }) {
  const name = nameOf(thread);
  return (
    <li>
      <a href={href("threads", thread.id)} aria-current={chosen ? "page" : undefined}>
        <bdi class="name" title={name}>
          {name}
        </bdi>
        <span class="about">
          {name !== thread.id && <bdi class="mono">{thread.id}</bdi>}
          {thread.visibility !== "team" && <span class="chip">{thread.visibility}</span>}
          {thread.closed && <span class="chip">closed</span>}
        </span>
      </a>
    </li>
  );
}
