// Who was let into a thread by name, and what they may do there. It changes nothing that the hub has not confirmed.
import type { Hub, openapi } from "@tambour/client";
import { useRef } from "preact/hooks";
import { Act, Field, Refused } from "../parts";
import { textOf, useRun } from "../parts/run";
import { pathOf } from "./chat";

interface Asked {
  hub: Hub;
  thread: openapi.Topic;
  manage: boolean;
  changed: () => void;
}

export function Members({ hub, thread, manage, changed }: Asked) {
  const name = useRef<HTMLInputElement>(null);
  const at = (sub: string) => `${pathOf(thread.id)}/members/${encodeURIComponent(sub)}`;
  const remove = async (sub: string) => {
    await hub.request("DELETE", at(sub));
    // Their button goes.
    name.current?.focus();
    changed();
  };
  return (
    <section class="members" aria-label="Members">
      <h3>Members</h3>
      {thread.members.length === 0 && <p class="about">Nobody was let in by name.</p>}
      <ul>
        {thread.members.map(({ sub, can }) => (
          <li key={sub}>
            <bdi>{sub}</bdi>
            <span class="chip">{can === "read" ? "reads" : "writes"}</span>
            {manage && (
              <Act kind="plain" label={`Remove ${sub}`} run={() => remove(sub)}>
                Remove
              </Act>
            )}
          </li>
        ))}
      </ul>
      {manage && <Add put={(sub, can) => hub.request("PUT", at(sub), { body: { can } })} name={name} changed={changed} />}
    </section>
  );
}

function Add({ put, name, changed }: { put: (sub: string, can: string) => Promise<unknown>; name: { current: HTMLInputElement | null }; changed: () => void }) {
  const { busy, error, run } = useRun();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const element = event.currentTarget as HTMLFormElement;
    const form = new FormData(element);
    if (!(await run(() => put(textOf(form, "sub"), textOf(form, "can"))))) return;
    element.reset();
    name.current?.focus();
    changed();
  };
  return (
    <form onSubmit={submit}>
      <div class="row">
        <Field label="Let somebody in">
          <input name="sub" ref={name} required maxLength={256} autocomplete="off" placeholder="their name" />
        </Field>
        <Field label="They may">
          <select name="can">
            <option value="write">read and write</option>
            <option value="read">read</option>
          </select>
        </Field>
        <button class="plain" aria-busy={busy}>
          Add
        </button>
      </div>
      <Refused error={error} />
    </form>
  );
}
