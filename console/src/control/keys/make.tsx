// Making a key: a form in a dialog. What it makes is handed on; it shows no token.
import type { Hub, openapi } from "@tambour/client";
import { Field, Refused } from "../../parts";
import { Dialog } from "../../parts/dialog";
import { textOf, useRun } from "../../parts/run";
import { inDays, PERMISSIONS, rolesUpTo } from "./rules";

interface MakeProps {
  hub: Hub;
  /** The role of who makes it, where it is known. */
  own?: string;
  made(key: openapi.KeyWithToken): void;
  close(): void;
}

export function Make({ hub, own, made, close }: MakeProps) {
  const { busy, error, run } = useRun();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const body = read(event.currentTarget as HTMLFormElement);
    void run(async () => made(await hub.request<openapi.KeyWithToken>("POST", "/v1/keys", { body })));
  };
  return (
    <Dialog title="Make a service key" close={close}>
      <form onSubmit={submit}>
        <Field label="Name" hint="For people: what it is used for.">
          <input name="name" required maxLength={128} autocomplete="off" dir="auto" placeholder="summaries" />
        </Field>
        <Fields own={own} />
        <details>
          <summary>More permissions than the role has</summary>
          <ul class="permissions">
            {Object.entries(PERMISSIONS).map(([name, words]) => (
              <li>
                <label>
                  <input type="checkbox" name="permissions" value={name} />
                  <span>
                    <code>{name}</code> {words}
                  </span>
                </label>
              </li>
            ))}
          </ul>
        </details>
        <Refused error={error} />
        <div class="acts">
          <button type="button" class="plain" onClick={close}>
            Cancel
          </button>
          <button aria-busy={busy}>Make it</button>
        </div>
      </form>
    </Dialog>
  );
}

function Fields({ own }: { own?: string }) {
  return (
    <div class="row">
      <Field label="Actor type">
        <select name="actor_type">
          <option value="agent">agent</option>
          <option value="system">system</option>
        </select>
      </Field>
      <Field label="Role">
        <select name="role" defaultValue="member">
          {rolesUpTo(own).map((role) => (
            <option selected={role === "member"}>{role}</option>
          ))}
        </select>
      </Field>
      <Field label="Expires">
        <select name="days">
          <option value="">never</option>
          <option value="1">in a day</option>
          <option value="7">in a week</option>
          <option value="30">in 30 days</option>
          <option value="90">in 90 days</option>
          <option value="365">in a year</option>
        </select>
      </Field>
    </div>
  );
}

function read(form: HTMLFormElement): openapi.CreateKey {
  const given = new FormData(form);
  const permissions = given.getAll("permissions") as openapi.Permission[];
  const expires_at = inDays(String(given.get("days")), Date.now());
  return {
    name: textOf(given, "name"),
    actor_type: given.get("actor_type") as openapi.KeyActorType,
    role: given.get("role") as openapi.Role,
    ...(permissions.length > 0 && { permissions }),
    ...(expires_at && { expires_at }),
  };
}
