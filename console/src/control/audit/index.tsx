// The audit: who did what, and what was refused to whom; the newest first, a page at a time. What is sought is in the page's
// address, so it can be sent to somebody. Entries are shown as text, whatever is in them.
import type { openapi } from "@tambour/client";
import { useEffect, useRef } from "preact/hooks";
import { Act, Empty, Head, Standing } from "../../parts";
import { useResource } from "../../parts/resource";
import { go, href, route } from "../../route";
import { hub, type Identity, session } from "../../session";
import { EntryShown } from "./entry";
import { FORMATS, save } from "./export";
import { beforeOf, type Filter, filterOf, isFiltered, queryOf } from "./filter";
import { FilterForm } from "./filter-form";
import { Entries } from "./entries";
import { Verify } from "./verify";
import "./style.css";

const PAGE = 100;
/** How often the newest page is looked at again. */
const EVERY_MS = 5_000;

export function Audit() {
  const { query, id } = route.value;
  const filter = filterOf(query);
  const before = beforeOf(query);
  const asked = queryOf(filter, { before, limit: PAGE });
  const of = hub.value!;
  const page = useResource((signal) => of.request<openapi.AuditList>("GET", `/v1/audit${asked}`, { signal }), [of, asked], { every: before === undefined ? EVERY_MS : undefined });
  const identity = session.value.state === "in" ? session.value.identity : undefined;
  const seq = Number(id);
  const heading = useFocusOn(before);
  return (
    <>
      <Head title="Audit" says="What was changed, by whom, and what was refused to whom.">
        <Exports filter={filter} identity={identity!} />
      </Head>
      <Verify identity={identity!} />
      <FilterForm filter={filter} />
      <h2 ref={heading} tabIndex={-1} class="unseen">
        {before === undefined ? "The newest entries" : `Entries before ${before}`}
      </h2>
      <Standing of={page} />
      {page.value && <Listed page={page.value} filter={filter} before={before} />}
      {id && Number.isSafeInteger(seq) && seq > 0 && (
        <EntryShown seq={seq} known={page.value?.entries.find((entry) => entry.seq === seq)} close={() => shown(undefined)} />
      )}
    </>
  );
}

/** Goes to an entry, or back to the list; what is sought stays. */
export function shown(seq: number | undefined): void {
  if (seq === undefined && !route.value.id) return;
  go(href("audit", seq === undefined ? undefined : String(seq), Object.fromEntries(route.value.query)));
}

/** Another page takes the focus: the link that led there may be gone. */
function useFocusOn(page: unknown) {
  const heading = useRef<HTMLHeadingElement>(null);
  const was = useRef(page);
  useEffect(() => {
    if (was.current !== page) heading.current?.focus();
    was.current = page;
  }, [page]);
  return heading;
}

function Listed({ page, filter, before }: { page: openapi.AuditList; filter: Filter; before?: number }) {
  const last = page.entries.at(-1);
  const older = href("audit", undefined, { ...filter, before: String(last?.seq) });
  return (
    <>
      {page.entries.length === 0 ? <Empty>{isFiltered(filter) ? "No entry is like that." : "Nothing is written down yet."}</Empty> : <Entries entries={page.entries} />}
      <div class="acts pager">
        {before !== undefined && (
          <a class="button" href={href("audit", undefined, filter as Record<string, string>)}>
            Newest
          </a>
        )}
        {page.has_more && last && (
          <a class="button" href={older}>
            Older
          </a>
        )}
      </div>
    </>
  );
}

function Exports({ filter, identity }: { filter: Filter; identity: Identity }) {
  const what = isFiltered(filter) ? "these entries" : "all entries";
  return (
    <div class="acts exports" role="group" aria-label={`Save ${what} as a file`}>
      <span class="faint">Save {what}:</span>
      {FORMATS.map((format) => (
        <Act key={format} kind="plain" label={`Save ${what} as ${format.toUpperCase()}`} run={() => save(identity, filter, format)}>
          {format.toUpperCase()}
        </Act>
      ))}
    </div>
  );
}
