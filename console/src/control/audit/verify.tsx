// Verifies the chain of entries, and compares it with what somebody kept elsewhere: who can write the hub’s file can write
// a whole new chain, and only a hash from outside shows that.
import { HubError, type openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Act, Field } from "../../parts";
import { Copyable } from "../../parts/copy";
import { hub, type Identity } from "../../session";
import { keptOf } from "./filter";
import { shown } from "./index";

/** Every entry is read and hashed; that takes its time. */
const VERIFY_MS_MAX = 120_000;

interface Found {
  verdict: openapi.AuditVerdict;
  at: Date;
  /** Of what was kept: whether it is there still. */
  kept?: { seq: number; there: boolean };
}

export function Verify({ identity }: { identity: Identity }) {
  const [found, setFound] = useState<Found>();
  const [text, setText] = useState("");
  const asked = hub.value!;
  const run = async () => {
    const kept = keptOf(text);
    if (text.trim() && !kept) throw new HubError({ code: "console.not_kept", detail: "What was kept looks like 17:9f86d0…, a number and 64 digits." });
    const verdict = await asked.request<openapi.AuditVerdict>("GET", "/v1/audit/verify", { timeoutMs: VERIFY_MS_MAX });
    if (!kept) return setFound({ verdict, at: new Date() });
    const { entries } = await asked.request<openapi.AuditList>("GET", `/v1/audit?before=${kept.seq + 1}&limit=1`);
    setFound({ verdict, at: new Date(), kept: { seq: kept.seq, there: entries[0]?.seq === kept.seq && entries[0].hash === kept.hash } });
  };
  return (
    <section class="card verify" aria-labelledby="verify">
      <div class="row">
        <div class="verify-says">
          <h2 id="verify">Is it whole?</h2>
          <p class="faint">Each entry has the hash of the one before it: what is changed, taken out or put in is found.</p>
        </div>
        <Field label="Compare with what you kept">
          <input value={text} placeholder="SEQ:HASH, optional" autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        </Field>
        <Act run={run}>Verify</Act>
      </div>
      <div role="status">{found && <Verdict found={found} identity={identity} />}</div>
    </section>
  );
}

function Verdict({ found: { verdict, at, kept }, identity }: { found: Found; identity: Identity }) {
  const { head, entries, ok, first_bad, why } = verdict;
  const whole = ok && kept?.there !== false;
  return (
    <div class="verdict" data-ok={whole}>
      <h3>{whole ? `Whole: ${entries} ${entries === 1 ? "entry is as it was" : "entries are as they were"} written` : ok ? "Not what you kept" : "Broken"}</h3>
      {!ok && (
        <p>
          {first_bad ? `Entry ${first_bad} is the first that is not as it was written` : "It is not as it was written"}
          {why ? `: ${why}.` : "."} {entries > 0 && `The ${entries} before it are good.`}
        </p>
      )}
      {!ok && first_bad ? (
        <button type="button" class="plain" onClick={() => shown(first_bad)}>
          Show entry {first_bad}
        </button>
      ) : null}
      {kept && <p>{kept.there ? `Entry ${kept.seq} is the one that you kept.` : `Entry ${kept.seq} has another hash than you kept, or is not there: the audit was written anew, or cut.`}</p>}
      {whole && head.seq > 0 && (
        <>
          <p>
            Verified at {at.toLocaleTimeString()}. Keep this where nobody who can write the hub’s data can write, and compare it the next time, here or by the command:
          </p>
          <Copyable text={`${head.seq}:${head.hash}`} label="The head, to keep" />
          <Copyable text={`tambour audit verify --url ${location.origin} --tenant ${identity.tenant} --env ${identity.env} --expect ${head.seq}:${head.hash}`} label="Command that compares it" />
        </>
      )}
    </div>
  );
}
