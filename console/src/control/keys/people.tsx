// What is said of somebody beside their tokens: let in or not, another role, tokens taken back. The hub does not know who
// there is, so one is asked for by name; `#/keys/bob` asks for bob.
import type { openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Act, Field, Standing, Time } from "../../parts";
import { Confirm } from "../../parts/dialog";
import { useDone } from "../../parts/done";
import { useResource } from "../../parts/resource";
import { go, href, route } from "../../route";
import { hub, session } from "../../session";
import { RevokeOne } from "./revoke-one";
import { rolesUpTo } from "./rules";

export function People() {
  const sub = route.value.id;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    go(href("keys", String(new FormData(event.currentTarget as HTMLFormElement).get("sub")).trim()));
  };
  return (
    <section class="people" aria-labelledby="people">
      <header>
        <h2 id="people">People</h2>
        <p class="faint">What is said here overrides what tokens say, in this tenant and env, within a second. An issuer’s logins go on elsewhere.</p>
      </header>
      <form class="row" onSubmit={submit}>
        <Field label="Whom? The sub of their tokens, or a key’s id">
          <input key={sub} name="sub" required maxLength={256} autocomplete="off" spellcheck={false} dir="auto" defaultValue={sub} placeholder="bob" />
        </Field>
        <button class="plain">Look up</button>
      </form>
      {sub && <Person key={sub} sub={sub} />}
      <RevokeOne />
    </section>
  );
}

type Change = "suspend" | "activate" | "revoke";

function Person({ sub }: { sub: string }) {
  const asked = hub.value!;
  const path = `/v1/principals/${encodeURIComponent(sub)}`;
  const now = useResource((signal) => asked.request<openapi.Principal>("GET", path, { signal }), [asked, path]);
  const done = useDone();
  const [change, setChange] = useState<Change>();
  const put = async (body: openapi.PutPrincipal, says: string) => {
    await asked.request("PUT", path, { body });
    now.reload();
    done.say(says);
  };
  const said = now.value;
  const kept = said?.role && { role: said.role };
  const run: Record<Change, () => Promise<void>> = {
    suspend: () => put({ state: "suspended", ...kept }, `${sub} is suspended.`),
    activate: () => put({ state: "active", ...kept }, `${sub} may come in.`),
    revoke: async () => {
      await asked.request("POST", "/v1/revocations", { body: { sub } });
      now.reload();
      done.say(`The tokens of ${sub} that were made so far are revoked.`);
    },
  };
  return (
    <article class="card person" aria-label={sub}>
      <Standing of={now} />
      {done.line}
      {said && (
        <>
          <Said of={said} />
          <div class="acts">
            {said.state === "active" ? (
              <button type="button" class="danger" onClick={() => setChange("suspend")}>
                Suspend…
              </button>
            ) : (
              <Act kind="plain" run={run.activate}>
                Activate
              </Act>
            )}
            <button type="button" class="danger" onClick={() => setChange("revoke")}>
              Revoke all tokens…
            </button>
          </div>
          {!sub.startsWith("key:") && <RoleOf said={said} put={put} />}
        </>
      )}
      {(change === "suspend" || change === "revoke") && <Sure sub={sub} change={change} run={run[change]} close={() => setChange(undefined)} />}
    </article>
  );
}

function Said({ of: said }: { of: openapi.Principal }) {
  const own = session.value.state === "in" && session.value.identity.sub === said.sub;
  return (
    <div>
      <h3>
        <bdi>{said.sub}</bdi> <span class={`chip ${said.state === "active" ? "good" : "bad"}`}>{said.state}</span> {own && <span class="chip">this is you</span>}
      </h3>
      <p class="faint">
        {said.changed_at ? (
          <>
            Said by <bdi>{said.changed_by}</bdi>, <Time at={said.changed_at} />; it reaches whose tokens give at most the role {said.authority}.
          </>
        ) : (
          "Nothing is said of them; their tokens decide."
        )}
        {said.revoked_at && (
          <>
            {" "}
            Tokens made up to <Time at={said.revoked_at} /> are revoked.
          </>
        )}
      </p>
    </div>
  );
}

/** Another role than their tokens give. */
function RoleOf({ said, put }: { said: openapi.Principal; put(body: openapi.PutPrincipal, says: string): Promise<void> }) {
  const [role, setRole] = useState<string>(said.role ?? "");
  const own = session.value.state === "in" ? session.value.identity.role : undefined;
  const body: openapi.PutPrincipal = { state: said.state, ...(role && { role: role as openapi.Role }) };
  return (
    <div class="row">
      <Field label="Role, in place of what their tokens give">
        <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
          <option value="">as their tokens say</option>
          {rolesUpTo(own).map((one) => (
            <option value={one}>{one}</option>
          ))}
        </select>
      </Field>
      <Act kind="plain" disabled={role === (said.role ?? "")} run={() => put(body, role ? `The role of ${said.sub} is ${role}.` : `The role of ${said.sub} is that of their tokens.`)}>
        Give this role
      </Act>
    </div>
  );
}

function Sure({ sub, change, run, close }: { sub: string; change: "suspend" | "revoke"; run: () => Promise<void>; close(): void }) {
  if (change === "suspend") {
    return (
      <Confirm title={`Suspend ${sub}?`} does="Suspend" run={run} close={close}>
        <p>Whatever token they come with is refused, and their live sessions and streams end within a second. Until somebody activates them again.</p>
      </Confirm>
    );
  }
  return (
    <Confirm title={`Revoke all tokens of ${sub}?`} does="Revoke" run={run} close={close}>
      <p>Every token of theirs that was made so far is refused, and what it opened ends within a second. It can’t be taken back. A later login is good: suspend who must stay out.</p>
    </Confirm>
  );
}
