// Everything that happens in the tenant, as it happens: what of it is shown is in the URL, one event can be inspected, and a
// trace be followed. The rows come from the follower; this file puts the pieces together and asks the hub nothing.
import type { FeedEvent, Hub } from "@tambour/client";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Head, Refused, Standing } from "../parts";
import { go, href, replace as shownAt, route } from "../route";
import { hub } from "../session";
import { filterOf, meets, narrows, queryOf, type Typed, typedIn } from "./filter";
import { Counts, Filters } from "./filters";
import { type Followed, Follower } from "./follower";
import { Inspector } from "./inspector";
import { List } from "./list";
import { countTypes, isFull, newOf, ROWS_MAX, shownOf } from "./tape";
import { personOf, shownTopic } from "./words";
import "./style.css";

export function Feed() {
  return hub.value && <Following hub={hub.value} />;
}

function Following({ hub }: { hub: Hub }) {
  const typed = typedIn(route.value.query);
  const said = JSON.stringify(typed);
  const filter = useMemo(() => filterOf(typed), [said]);
  const follower = useMemo(() => new Follower(hub), [hub]);
  useEffect(() => () => follower.close(), [follower]);
  const wanted = useMemo(() => meets(filter), [filter]);
  useEffect(() => follower.show(filter, wanted), [follower, filter]);
  const now = follower.now.value;
  const events = useMemo(() => shownOf(now.tape, wanted), [now.tape, wanted]);
  const counts = useMemo(() => countTypes(events), [events]);
  const proposed = useMemo(() => ({ type: counts.map(([type]) => type), topic: names(events, shownTopic), person: names(events, personOf) }), [events]);
  const set = (change: Partial<Typed>) => replace({ ...typed, ...change });
  const isNarrowed = queryOf(typed) !== undefined;
  return (
    <>
      <Head title="Feed" says="Everything that happens in this tenant, as it happens.">
        <Pausing follower={follower} count={newOf(now.tape, wanted)} />
      </Head>
      <Filters typed={typed} apply={replace} proposed={proposed} />
      <div class="feed-about">
        <Counts counts={counts} types={filter.types} toggle={(type) => set({ type: toggled(filter.types, type) })} />
        {isNarrowed && (
          <button type="button" class="plain" onClick={() => (replace({}), focusRows())}>
            {filter.trace ? "Stop following the trace" : "Show everything"}
          </button>
        )}
      </div>
      <Standing of={{ value: now.following || events.length > 0 || undefined, error: now.error, reload: () => follower.again() }} />
      {now.gap && <p class="feed-note">{now.gap === "trimmed" ? "Something that this page had not read yet is not kept any more. What is kept follows." : "The hub’s feed has begun anew. What it keeps follows."}</p>}
      <Body events={events} since={filter.trace !== ""}>
        <Before follower={follower} now={now} count={events.length} full={isFull(now.tape, wanted)} narrowed={isNarrowed} hidden={narrows(filter)} />
      </Body>
    </>
  );
}

/** The list, and what is inspected of it. */
function Body({ events, since, children }: { events: FeedEvent[]; since: boolean; children: ComponentChildren }) {
  const [active, setActive] = useState<FeedEvent>();
  const [isOpen, setOpen] = useState(false);
  const inspect = (event: FeedEvent) => {
    setActive(event);
    setOpen(true);
  };
  const wasOpen = useRef(false);
  // Not before a dialog is gone: behind it nothing can have the focus.
  useEffect(() => {
    if (wasOpen.current && !isOpen) focusRows();
    wasOpen.current = isOpen;
  }, [isOpen]);
  const close = () => setOpen(false);
  const shown = isOpen ? active : undefined;
  return (
    <div class={`feed-body${shown ? " open" : ""}`} onKeyDown={(event) => event.key === "Escape" && isOpen && close()}>
      <List events={events} active={active?.feed_id} open={shown?.feed_id} since={since} move={setActive} inspect={inspect}>
        {children}
      </List>
      {shown && <Inspector event={shown} close={close} follow={(trace) => (go(href("feed", undefined, { trace })), close())} />}
    </div>
  );
}

/** Stops the rows to read them; what comes meanwhile is counted, and kept. */
function Pausing({ follower, count }: { follower: Follower; count: number }) {
  const { tape, following } = follower.now.value;
  return (
    <>
      {tape.paused && <span class="feed-new">{count.toLocaleString()} new</span>}
      <button type="button" class={tape.paused ? undefined : "plain"} disabled={!following && !tape.paused} onClick={() => (tape.paused ? follower.resume() : follower.pause())}>
        {tape.paused ? "Resume" : "Pause"}
      </button>
    </>
  );
}

interface BeforeProps {
  follower: Follower;
  now: Followed;
  count: number;
  /** There is room for no more rows. */
  full: boolean;
  narrowed: boolean;
  /** There may be much that is not shown. */
  hidden: boolean;
}

/** What is before the first row: more of it, or why not. */
function Before({ follower, now, count, full, narrowed, hidden }: BeforeProps) {
  const { tape, looking, following, lookingError } = now;
  if (!following && count === 0) return null;
  const isOver = !tape.more;
  return (
    <div class="feed-before">
      {isOver ? (
        <p>{count === 0 ? (narrowed ? "Nothing that is kept is like this. What comes is shown here." : "Nothing has happened yet. What does is shown here.") : "This is the first that is kept."}</p>
      ) : full ? (
        <p>The page keeps {ROWS_MAX.toLocaleString()} rows. Filter, to see further back.</p>
      ) : (
        <>
          <button type="button" class="plain" aria-busy={looking} aria-disabled={looking} onClick={() => !looking && void follower.earlier().then(keepFocus)}>
            {looking ? "Looking…" : "Earlier"}
          </button>
          {count === 0 && <p>{hidden ? "Nothing like this among the newest. Look further back, or wait for it." : "Nothing yet. What happens is shown here."}</p>}
        </>
      )}
      <Refused error={lookingError} />
    </div>
  );
}

/** The button may be gone when its answer is there; then the rows have the focus. */
function keepFocus(): void {
  if (document.activeElement === document.body) focusRows();
}

function focusRows(): void {
  document.getElementById("feed-rows")?.focus({ preventScroll: true });
}

const replace = (typed: Partial<Typed>): void => shownAt(href("feed", undefined, queryOf(typed)));

const names = (events: readonly FeedEvent[], of: (event: FeedEvent) => string): string[] => [...new Set(events.map(of))].sort();

function toggled(types: readonly string[], type: string): string {
  return (types.includes(type) ? types.filter((one) => one !== type) : [...types, type]).join(", ");
}
