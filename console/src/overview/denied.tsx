// What is shown to who may not see the numbers of a tenant: why, and the connections that are counted for who looks.
import type { Hub } from "@tambour/client";
import { Standing, Table } from "../parts";
import { useFocusBack } from "../parts/focus";
import { useResource } from "../parts/resource";
import { exact, words } from "./figures";

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
  const limits = useResource((signal) => hub.request<Limits>("GET", "/v1/limits", { signal }), [hub], { every: EVERY_MS });
  const { value } = limits;
  return (
    <>
      <Standing of={limits} />
      {value && (
        <Table caption="Connections" head={["Connections", { words: "Now", number: true }, { words: "At most", number: true }]}>
          {Object.entries(COUNTED).map(([key, name]) => {
            const { used, max } = value.connections[key as keyof typeof COUNTED];
            return (
              <tr key={key}>
                <td>{name}</td>
                <td class="number">{words(used, exact)}</td>
                <td class="number">{words(max, exact)}</td>
              </tr>
            );
          })}
        </Table>
      )}
    </>
  );
}
