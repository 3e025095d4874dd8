// What will happen, before it happens to everybody: shown as it was when it was opened, and not sent if somebody else changed
// the switch since.
import { type Hub, HubError, type openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Field } from "../../parts";
import { Confirm } from "../../parts/dialog";
import { ask, show } from "./now";
import { applied, bodyOf, type Item, offOf, ordered, pending, said, same, type Wanted } from "./rules";

interface ReviewProps {
  hub: Hub;
  /** What was off when the review was opened. */
  at: openapi.KillSwitch;
  wanted: Wanted;
  /** Somebody else changed it: the review begins anew, from there. */
  moved(now: openapi.KillSwitch): void;
  done(): void;
  close(): void;
}

export function Review({ hub, at, wanted, moved, done, close }: ReviewProps) {
  const off = offOf(at);
  const will = applied(off, wanted);
  const changes = pending(off, wanted);
  const [reason, setReason] = useState(will.size > 0 ? (at.reason ?? "") : "");
  const pick = (to: boolean) => ordered([...changes].filter(([, off]) => off === to).map(([item]) => item));
  const stays = ordered([...off].filter((item) => will.has(item)));
  const run = async () => {
    const fresh = await ask(hub);
    if (fresh.changed_at !== at.changed_at && !same(offOf(fresh), will)) {
      moved(fresh);
      throw new HubError({ code: "console.changed_meanwhile", detail: `${fresh.changed_by} changed the switch meanwhile. What will happen is shown anew: look at it again.` });
    }
    show(await hub.request<openapi.KillSwitch>("PUT", "/v1/kill-switch", { body: bodyOf(will, reason) }));
    done();
  };
  return (
    <Confirm title="For everybody, within a second" does={pick(true).length > 0 ? "Switch off" : "Switch on"} run={run} close={close}>
      <Items title="This will switch off" items={pick(true)} kind="bad" />
      <Items title="This will switch on again" items={pick(false)} kind="good" />
      <Items title="This stays off" items={stays} />
      {will.size === 0 && <p>Then nothing is off.</p>}
      <Field label="Reason" hint="Everybody here may read it.">
        <input value={reason} maxLength={512} autocomplete="off" dir="auto" onInput={(event) => setReason(event.currentTarget.value)} />
      </Field>
    </Confirm>
  );
}

/** Items under a heading; nothing where there are none. */
export function Items({ title, items, kind }: { title: string; items: Item[]; kind?: "good" | "bad" }) {
  if (items.length === 0) return null;
  return (
    <section class="off-items" data-kind={kind}>
      <h3>{title}</h3>
      <ul>
        {items.map((item) => (
          <li key={item}>
            {said(item).words} {said(item).name && <code>{said(item).name}</code>}
          </li>
        ))}
      </ul>
    </section>
  );
}
