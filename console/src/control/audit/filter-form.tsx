// What is sought, as a form. It changes the page's address and nothing else.
import { useEffect, useRef, useState } from "preact/hooks";
import { Field } from "../../parts";
import { go, href } from "../../route";
import { isoOf, localOf } from "../../parts/local-time";
import { type Filter, filterOf, OUTCOMES } from "./filter";

/** Actions that entries have, and families: a help to type, not the limit of what may be typed. */
const ACTIONS = ["threads.*", "canvases.*", "keys.*", "keys.create", "keys.rotate", "keys.revoke", "kill_switches.*", "kill_switches.put", "principals.*", "principals.put", "revocations.create", "sessions.end", "session.open", "audit.*", "threads.publish", "threads.members.*"];

export function FilterForm({ filter }: { filter: Filter }) {
  const [wrong, setWrong] = useState("");
  const form = useRef<HTMLFormElement>(null);
  // The address may say something else than was typed: a link, or the way back.
  useEffect(() => {
    for (const name of ["actor", "action", "resource", "outcome"] as const) write(form.current!, name, filter[name]);
    for (const name of ["since", "until"] as const) write(form.current!, name, localOf(filter[name]));
  }, [JSON.stringify(filter)]);
  const submit = (event: Event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const asked = { ...Object.fromEntries(["actor", "action", "resource", "outcome"].map((name) => [name, text(name)])), since: isoOf(text("since")) ?? "", until: isoOf(text("until")) ?? "" };
    if (asked.since && asked.until && asked.since >= asked.until) return setWrong("“Until” is not behind “since”.");
    setWrong("");
    go(href("audit", undefined, filterOf(new URLSearchParams(asked)) as Record<string, string>));
  };
  return (
    <form ref={form} class="row audit-filter" role="search" aria-label="Filter entries" onSubmit={submit}>
      <Field label="Who">
        <input name="actor" maxLength={256} autocomplete="off" spellcheck={false} dir="auto" placeholder="ada" />
      </Field>
      <Field label="Action">
        <input name="action" list="audit-actions" maxLength={64} autocomplete="off" spellcheck={false} placeholder="keys.*" />
      </Field>
      <datalist id="audit-actions">
        {ACTIONS.map((action) => (
          <option value={action} />
        ))}
      </datalist>
      <Field label="What">
        <input name="resource" maxLength={512} autocomplete="off" spellcheck={false} dir="auto" placeholder="thread/plan" />
      </Field>
      <Outcome />
      <Field label="Since">
        <input name="since" type="datetime-local" step="1" />
      </Field>
      <Field label="Until">
        <input name="until" type="datetime-local" step="1" />
      </Field>
      <div class="acts">
        <button>Filter</button>
        <a class="button" href={href("audit")}>
          Show all
        </a>
      </div>
      {wrong && (
        <p class="refused" role="alert">
          {wrong}
        </p>
      )}
    </form>
  );
}

/** One of few, so that it applies at once. */
function Outcome() {
  return (
    <Field label="Outcome">
      <select name="outcome" onChange={(event) => event.currentTarget.form!.requestSubmit()}>
        <option value="">any</option>
        {OUTCOMES.map((outcome) => (
          <option>{outcome}</option>
        ))}
      </select>
    </Field>
  );
}

function write(form: HTMLFormElement, name: string, value = ""): void {
  (form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement).value = value;
}
