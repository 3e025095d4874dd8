// Threads: which there are, and the one that is chosen, as a conversation.
import type { Hub, openapi } from "@tambour/client";
import { useEffect, useRef, useState } from "preact/hooks";
import { Empty } from "../parts";
import { isNarrow } from "../parts/media";
import { useResource } from "../parts/resource";
import { go, href, route } from "../route";
import { type Identity, session } from "../session";
import { Create } from "./create";
import { List, type Threads as Found } from "./list";
import { THREADS_MAX } from "./listing";
import "./style.css";
import { Thread } from "./thread";

const PAGE_THREADS = 500;
/** How old a list may be that somebody looks at, in milliseconds. */
const OLD_MS = 15_000;

export function Threads() {
  const now = session.value;
  return now.state === "in" ? <Both hub={now.hub} identity={now.identity} /> : null;
}

function Both({ hub, identity }: { hub: Hub; identity: Identity }) {
  const { id } = route.value;
  const [creates, create] = useState(false);
  const [turn, next] = useState(0);
  const made = useRef<string | undefined>(undefined);
  // Others make threads, too.
  const found = useResource((over) => allOf(hub, over), [hub], { every: OLD_MS });
  useBack(id);
  const gone = () => {
    found.reload();
    go(href("threads"));
    document.getElementById("main")?.focus();
  };
  return (
    <div class="threads" data-chosen={id !== undefined || undefined}>
      <List found={found} chosen={id} create={() => create(true)} />
      {id === undefined ? (
        <div class="thread none">
          <Empty>Choose a thread, or make one.</Empty>
        </div>
      ) : (
        <Thread
          key={`${id} ${turn}`}
          id={id}
          hub={hub}
          identity={identity}
          inList={found.value?.threads.find((one) => one.id === id)}
          fresh={made.current === id}
          changed={found.reload}
          gone={gone}
          again={() => next(turn + 1)}
        />
      )}
      {creates && (
        <Create
          hub={hub}
          close={() => create(false)}
          made={(id) => {
            made.current = id;
            found.reload();
            go(href("threads", id));
          }}
        />
      )}
    </div>
  );
}

/** Every thread that one may see, as far as they are asked for. */
async function allOf(hub: Hub, signal: AbortSignal): Promise<Found> {
  const threads: openapi.Topic[] = [];
  let more = true;
  while (more && threads.length < THREADS_MAX) {
    const query = new URLSearchParams({ limit: String(PAGE_THREADS), ...(threads.length > 0 && { after: threads.at(-1)!.id }) });
    const page = await hub.request<openapi.ThreadList>("GET", `/v1/threads?${query}`, { signal });
    threads.push(...page.threads);
    more = page.has_more && page.threads.length > 0;
  }
  return { threads, more };
}

/** Where the thread gives way to the list, the focus goes with it. */
function useBack(id: string | undefined): void {
  const before = useRef(id);
  useEffect(() => {
    if (before.current !== undefined && id === undefined && isNarrow()) document.querySelector<HTMLElement>(".threads h1")?.focus();
    before.current = id;
  }, [id]);
}
