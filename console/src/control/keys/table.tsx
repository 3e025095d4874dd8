// Keys as rows, so many at a time. It does nothing with them itself.
import type { openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Table, Time } from "../../parts";
import type { Doing } from "./index";
import { standing } from "./rules";

const ROWS_STEP = 100;

export function KeyTable({ keys, act }: { keys: openapi.Key[]; act(doing: Doing): void }) {
  const [rows, setRows] = useState(ROWS_STEP);
  return (
    <>
      <Table caption="Service keys, the newest first" cards head={["Key", "Acts as", "Permissions", "Made", "Expires", { words: "What can be done", unseen: true }]}>
        {keys.slice(0, rows).map((key) => (
          <Row key={key.id} of={key} act={act} />
        ))}
      </Table>
      {keys.length > rows && (
        <div class="acts">
          <button type="button" class="plain" onClick={() => setRows(rows + ROWS_STEP)}>
            Show {Math.min(ROWS_STEP, keys.length - rows)} more of {keys.length}
          </button>
        </div>
      )}
    </>
  );
}

function Row({ of: key, act }: { of: openapi.Key; act(doing: Doing): void }) {
  const { expired, before } = standing(key, Date.now());
  return (
    <tr>
      <th scope="row" class="key-name">
        <bdi>{key.name}</bdi>
        <code>{key.id}</code>
      </th>
      <td data-label="Acts as">
        {key.actor_type}, {key.role}
      </td>
      <td data-label="Permissions">
        {key.permissions.length === 0 && <span class="faint">those of the role</span>}
        {key.permissions.map((permission) => (
          <code class="chip">{permission}</code>
        ))}
      </td>
      <td data-label="Made">
        <Time at={key.created_at} />
        <small>
          by <bdi>{key.created_by}</bdi>
        </small>
        {key.rotated_at && (
          <small>
            rotated <Time at={key.rotated_at} />
          </small>
        )}
        {before && (
          <small>
            the token before is good until <Time at={before} />
          </small>
        )}
      </td>
      <td data-label="Expires">
        {key.expires_at ? <Time at={key.expires_at} /> : <span class="faint">never</span>} {expired && <span class="chip bad">expired</span>}
      </td>
      <td class="key-acts">
        <button type="button" class="plain" aria-label={`Rotate ${key.name}`} onClick={() => act({ what: "rotate", key })}>
          Rotate…
        </button>
        <button type="button" class="danger" aria-label={`Revoke ${key.name}`} onClick={() => act({ what: "revoke", key })}>
          Revoke…
        </button>
      </td>
    </tr>
  );
}
