// Asks for a token, where the hub signs nobody in by itself. It tries the token before it believes it.
import { Hub, HubError } from "@tambour/client";
import { useState } from "preact/hooks";
import { Act, Field, Refused } from "./parts";
import { asHubError } from "./parts/errors";
import { enter, type Identity, rename, start, subjectOf } from "./session";

export function SignIn({ why, before }: { why: string; before?: Partial<Identity> }) {
  const [error, setError] = useState<HubError>();
  const [busy, setBusy] = useState(false);
  // Whom the hub signed in by itself a moment ago.
  const own = before?.token === undefined ? before?.sub : undefined;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name)).trim();
    const identity: Identity = { token: text("token"), tenant: text("tenant"), env: text("env") as Identity["env"], sub: subjectOf(text("token")) };
    setBusy(true);
    setError(await refusal(identity));
    setBusy(false);
  };
  return (
    <main class="sign-in">
      <h1>
        <img src="/console/icon.svg" alt="" width="32" height="32" /> Tambour
      </h1>
      {why && (
        <p class="refused" role="alert">
          {why}{" "}
          <button type="button" class="plain" onClick={() => void start()}>
            Try again
          </button>
        </p>
      )}
      <p>Sign in with a token of your issuer. For development, this makes one, on the hub’s machine:</p>
      <pre tabIndex={0}>
        <code>tambour token --sub ada --role admin</code>
      </pre>
      <form onSubmit={submit}>
        <Field label="Token">
          <input name="token" required autofocus autocomplete="off" spellcheck={false} type="password" />
        </Field>
        <div class="row">
          <Field label="Tenant">
            <input name="tenant" required autocomplete="off" spellcheck={false} defaultValue={before?.tenant ?? "t_demo"} />
          </Field>
          <Field label="Env">
            <select name="env" defaultValue={before?.env ?? "dev"}>
              <option>dev</option>
              <option>staging</option>
              <option>prod</option>
            </select>
          </Field>
        </div>
        <Refused error={error} />
        <button disabled={busy} aria-busy={busy}>
          Sign in
        </button>
      </form>
      {own !== undefined && (
        <Act kind="plain" run={() => rename(own)}>
          Go on as {own}, without a token
        </Act>
      )}
    </main>
  );
}

/** Signs in, or says what the hub has against it. */
async function refusal(identity: Identity): Promise<HubError | undefined> {
  const trying = new Hub({ url: location.origin, tenant: identity.tenant, env: identity.env, token: identity.token! });
  try {
    await trying.request("GET", "/v1/limits");
    enter(identity);
  } catch (error) {
    return asHubError(error);
  } finally {
    trying.close();
  }
}
