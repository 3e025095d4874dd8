// Asks for a token, where the hub signs nobody in by itself. It tries the token before it believes it.
import { Hub } from "@tambour/client";
import { useEffect, useRef } from "preact/hooks";
import { Act, Field, Refused } from "./parts";
import { textOf, useRun } from "./parts/run";
import { enter, type Identity, rename, start, subjectOf } from "./session";

export function SignIn({ why, before }: { why: string; before?: Partial<Identity> }) {
  const { busy, error, run } = useRun();
  const box = useRef<HTMLInputElement>(null);
  // What had the focus before is gone.
  useEffect(() => box.current?.focus(), []);
  // Whom the hub signed in by itself a moment ago.
  const own = before?.token === undefined ? before?.sub : undefined;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const token = textOf(form, "token");
    const identity: Identity = { token, tenant: textOf(form, "tenant"), env: textOf(form, "env") as Identity["env"], sub: subjectOf(token) };
    void run(() => tried(identity));
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
          <input ref={box} name="token" required autocomplete="off" spellcheck={false} type="password" />
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
        <button aria-busy={busy}>Sign in</button>
      </form>
      {own !== undefined && (
        <Act kind="plain" run={() => rename(own)}>
          Go on as {own}, without a token
        </Act>
      )}
    </main>
  );
}

/** Signs in, or fails with what the hub has against it. */
async function tried(identity: Identity): Promise<void> {
  const trying = new Hub({ url: location.origin, tenant: identity.tenant, env: identity.env, token: identity.token!, storage: false, page: false });
  try {
    await trying.request("GET", "/v1/limits");
    enter(identity);
  } finally {
    trying.close();
  }
}
