// Takes one token back, by the id that it has as `jti`.
// It never sees the token.
import type { openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Field, Time } from "../../parts";
import { Confirm } from "../../parts/dialog";
import { useDone } from "../../parts/done";
import { isoOf } from "../../parts/local-time";
import { hub } from "../../session";

export function RevokeOne() {
  const asked = hub.value!;
  const [jti, setJti] = useState("");
  const [expires, setExpires] = useState("");
  const [sure, setSure] = useState(false);
  const done = useDone();
  const at = isoOf(expires);
  const run = async () => {
    await asked.request<openapi.Revocation>("POST", "/v1/revocations", { body: { jti: jti.trim(), ...(at && { expires_at: at }) } });
    done.say("The token is revoked.");
    setJti("");
    setExpires("");
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setSure(true);
  };
  return (
    <details class="card">
      <summary>Revoke one token by its id</summary>
      <form class="revoke-one" onSubmit={submit}>
        {done.line}
        <div class="row">
          <Field label="The token’s jti">
            <input required value={jti} maxLength={1024} autocomplete="off" spellcheck={false} onInput={(event) => setJti(event.currentTarget.value)} />
          </Field>
          <Field label="When it expires, if you know it">
            <input type="datetime-local" step="1" value={expires} onInput={(event) => setExpires(event.currentTarget.value)} />
          </Field>
          <button class="danger">Revoke…</button>
        </div>
        <small class="faint">Never say an earlier time than the token has. Without one the revocation is kept for ever.</small>
      </form>
      {sure && (
        <Confirm title="Revoke this token?" does="Revoke" run={run} close={() => setSure(false)}>
          <p>
            <code>{jti}</code>
          </p>
          <p>
            It is refused from now on, and what was made or opened with it ends within a second. {at ? <>Kept until <Time at={at} />.</> : "Kept for ever."}
          </p>
        </Confirm>
      )}
    </details>
  );
}
