// One entry, as it was written: what changed from what to what, and the hashes that hold the chain together.
import { HubError, type openapi } from "@tambour/client";
import { Fact, Standing, Table, Time } from "../../parts";
import { Dialog } from "../../parts/dialog";
import { useResource } from "../../parts/resource";
import { hub } from "../../session";
import { diff } from "./diff";
import { Actor, Outcome } from "./entries";
import { shown } from "./index";

interface EntryProps {
  seq: number;
  /** The entry, if it is on the page that is shown. */
  known?: openapi.AuditEntry;
  close(): void;
}

export function EntryShown({ seq, known, close }: EntryProps) {
  const of = hub.value!;
  const asked = useResource(async (signal) => known ?? only(await of.request<openapi.AuditList>("GET", `/v1/audit?before=${seq + 1}&limit=1`, { signal }), seq), [of, seq]);
  const entry = known ?? asked.value;
  return (
    <Dialog title={`Entry ${seq}`} close={close} class="wide">
      <Standing of={asked} />
      {entry && <Inside of={entry} />}
      <div class="acts">
        <button type="button" class="plain" aria-disabled={seq <= 1} onClick={() => seq > 1 && shown(seq - 1)}>
          The one before
        </button>
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function only(list: openapi.AuditList, seq: number): openapi.AuditEntry {
  const [entry] = list.entries;
  if (entry?.seq === seq) return entry;
  throw new HubError({ code: "console.no_entry", detail: `There is no entry ${seq}.` });
}

function Inside({ of: entry }: { of: openapi.AuditEntry }) {
  return (
    <>
      <dl class="facts">
        <Fact name="Time">
          <Time at={entry.time} />
        </Fact>
        <Fact name="Who">
          <Actor of={entry.actor} />
        </Fact>
        <Fact name="Action">
          <code>{entry.action}</code>
        </Fact>
        <Fact name="What">
          <code>{entry.resource}</code>
        </Fact>
        <Fact name="Outcome">
          <Outcome of={entry} />
        </Fact>
        {entry.ip && <Fact name="From">{entry.ip}</Fact>}
        {entry.request_id && (
          <Fact name="Request">
            <code>{entry.request_id}</code>
          </Fact>
        )}
        {entry.trace_id && (
          <Fact name="Trace">
            <code>{entry.trace_id}</code>
          </Fact>
        )}
      </dl>
      <Changed before={entry.before} after={entry.after} />
      {entry.count_snapshot && <Changed title="Counted at that moment" after={entry.count_snapshot} />}
      <dl class="facts">
        <Fact name="Hash">
          <code>{entry.hash}</code>
        </Fact>
        <Fact name="Of the one before">
          <code>{entry.prev}</code>
        </Fact>
      </dl>
    </>
  );
}

const KINDS = { added: "new", removed: "gone", changed: "changed", same: "" };

/** What was before and is after, member by member. */
function Changed({ before, after, title = "What changed" }: { before?: unknown; after?: unknown; title?: string }) {
  const { rows, more } = diff(before, after);
  if (rows.length === 0) return <p class="faint">Nothing was changed.</p>;
  const both = before !== undefined && after !== undefined;
  return (
    <div class="changed-table">
      <Table caption={title} head={both ? ["What", "Before", "After", { words: "How", unseen: true }] : ["What", before === undefined ? "After" : "Before"]}>
        {rows.map(({ path, kind, before, after }) => (
          <tr key={path} data-kind={both ? kind : undefined}>
            <th scope="row">{path || "(all)"}</th>
            {both ? (
              <>
                <td class="was">{before === undefined ? "" : <bdi>{before}</bdi>}</td>
                <td class="is">{after === undefined ? "" : <bdi>{after}</bdi>}</td>
                <td>{KINDS[kind]}</td>
              </>
            ) : (
              <td>
                <bdi>{after ?? before}</bdi>
              </td>
            )}
          </tr>
        ))}
      </Table>
      {more > 0 && <p class="faint">{more} more are not shown; a file of the audit has them.</p>}
    </div>
  );
}
