// Entries as rows. What is in one is a click away.
import type { openapi } from "@tambour/client";
import { Table, Time } from "../../parts";
import { shown } from "./index";

export function Entries({ entries }: { entries: openapi.AuditEntry[] }) {
  return (
    <Table caption="Entries of the audit, the newest first" cards head={[{ words: "#", number: true }, "Time", "Who", "Action", "What", "Outcome"]}>
      {entries.map((entry) => (
        <tr key={entry.seq} class="entry" data-outcome={entry.outcome}>
          <td class="number">
            <button type="button" class="plain entry-open" aria-label={`Entry ${entry.seq}: ${entry.action} by ${entry.actor.sub}, ${entry.outcome}`} onClick={() => shown(entry.seq)}>
              {entry.seq}
            </button>
          </td>
          <td data-label="Time">
            <Time at={entry.time} />
          </td>
          <td class="entry-who" data-label="Who">
            <Actor of={entry.actor} />
          </td>
          <td data-label="Action">
            <code>{entry.action}</code>
          </td>
          <td class="entry-what" data-label="What">
            <code>{entry.resource}</code>
          </td>
          <td data-label="Outcome">
            <Outcome of={entry} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

export function Actor({ of }: { of: openapi.AuditActor }) {
  return (
    <>
      <bdi>{of.sub}</bdi> <small>{of.type === "human" ? of.role : `${of.type}, ${of.role}`}</small>
      {of.acts_for && (
        <small>
          for <bdi>{of.acts_for}</bdi>
        </small>
      )}
    </>
  );
}

export function Outcome({ of }: { of: openapi.AuditEntry }) {
  const lost = of.suppressed ? <small>{of.suppressed} more before it are not written down</small> : null;
  if (of.outcome === "done") {
    return (
      <>
        done{of.affected_count > 1 && `, ${of.affected_count} of them`}
        {lost}
      </>
    );
  }
  return (
    <>
      <span class="chip bad">refused</span> {of.code && <code>{of.code}</code>}
      {lost}
    </>
  );
}
