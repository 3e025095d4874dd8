// What is shown to who may not see the numbers of a tenant: why, and the connections that are counted for who looks.
import type { Hub, HubError } from "@tambour/client";
import { useEffect, useState } from "preact/hooks";
import { Table } from "../parts";
import { asHubError } from "../parts/resource";
import { answered } from "../reach";
import { exact, words } from "./figures";
import { useFocusBack } from "./focus";
import { poll } from "./pace";

const EVERY_MS = 5_000;

interface Limit {
  max: number;
  used?: number;
}

interface Limits {
  connections: Record<"all" | "ip" | "principal" | "tenant", Limit>;
}

const COUNTED = { principal: "Yours", ip: "From your address", tenant: "Of the tenant in this env" };

export function Denied({ hub, again }: { hub: Hub; again: () => void }) {
  const around = useFocusBack<HTMLDivElement>();
  return (
    <>
      <div class="card denied" ref={around}>
        <h2>Live numbers are not for everybody</h2>
        <p>
          They need the permission <code>stats:read</code>. Owners and admins of the tenant have it; others can be given it. What can be known without it is below.
        </p>
        <button type="button" class="plain" onClick={again}>
          Try again
        </button>
      </div>
      <Connections hub={hub} />
    </>
  );
}

function Connections({ hub }: { hub: Hub }) {
  const [limits, set] = useState<Limits>();
  const [error, fail] = useState<HubError>();
  useEffect(
    () =>
      poll(async (signal) => {
        try {
          const told = await hub.request<Limits>("GET", "/v1/limits", { signal });
          if (!signal.aborted) (set(told), fail(undefined), answered());
        } catch (failed) {
          if (!signal.aborted) (fail(asHubError(failed)), answered(failed));
          throw failed;
        }
      }, EVERY_MS),
    [hub],
  );
  if (!limits) return <p class="empty">{error ? error.detail : "Asking the hub…"}</p>;
  return (
    <Table caption="Connections" head={["Connections", "Now", "At most"]}>
      {Object.entries(COUNTED).map(([key, name]) => {
        const { used, max } = limits.connections[key as keyof typeof COUNTED];
        return (
          <tr key={key}>
            <td>{name}</td>
            <td>{words(used, exact)}</td>
            <td>{words(max, exact)}</td>
          </tr>
        );
      })}
    </Table>
  );
}
