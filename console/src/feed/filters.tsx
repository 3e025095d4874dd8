// What of the feed is shown, to be typed, and how often each type is there. It applies by itself a moment after the last key;
// what can’t be understood is said at its field.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { type Field, FIELDS, problemsOf, type Typed } from "./filter";

/** Milliseconds behind the last key. */
const TYPED_MS = 350;
/** Types whose count is shown. */
const COUNTS_MAX = 12;
/** Names that are proposed in a field. */
const PROPOSED_MAX = 100;

const SHOWN: Record<Field, { label: string; placeholder: string }> = {
  type: { label: "Type", placeholder: "thread.*" },
  topic: { label: "Topic", placeholder: "thread/plan" },
  person: { label: "Person", placeholder: "ada" },
  text: { label: "Text", placeholder: "anything in it" },
  trace: { label: "Trace", placeholder: "a trace or request id" },
};

interface FiltersProps {
  typed: Typed;
  apply: (typed: Typed) => void;
  proposed: Partial<Record<Field, readonly string[]>>;
}

export function Filters({ typed, apply, proposed }: FiltersProps) {
  const [draft, setDraft] = useState(typed);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const applied = JSON.stringify(typed);
  // A link or a button sets it, too; what is being typed stays as it is.
  useEffect(() => {
    setDraft((before) => (FIELDS.every((field) => before[field].trim() === typed[field]) ? before : typed));
    clearTimeout(timer.current);
  }, [applied]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const typing = (field: Field, text: string) => {
    const next = { ...draft, [field]: text };
    setDraft(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(next), TYPED_MS);
  };
  const now = (event: Event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    apply(draft);
  };
  const wrong = problemsOf(draft);
  return (
    <form class="feed-filters" role="search" aria-label="Filter the feed" onSubmit={now}>
      {FIELDS.map((field) => (
        <Input name={field} value={draft[field]} wrong={wrong[field]} proposed={proposed[field]} typing={(text) => typing(field, text)} />
      ))}
      {/* Enter applies at once; nobody needs to see a button for it. */}
      <button class="unseen" tabIndex={-1}>
        Apply
      </button>
    </form>
  );
}

interface InputProps {
  name: Field;
  value: string;
  wrong?: string;
  proposed?: readonly string[];
  typing: (text: string) => void;
}

function Input({ name, value, wrong, proposed, typing }: InputProps) {
  const id = useId();
  const { label, placeholder } = SHOWN[name];
  return (
    // What is wrong describes the field; in its label it would be its name.
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        value={value}
        placeholder={placeholder}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        maxLength={2_000}
        list={proposed && `${id}-list`}
        aria-invalid={wrong !== undefined}
        aria-describedby={wrong && `${id}-wrong`}
        onInput={(event) => typing(event.currentTarget.value)}
      />
      {wrong && (
        <small id={`${id}-wrong`} class="wrong">
          {wrong}
        </small>
      )}
      {proposed && (
        <datalist id={`${id}-list`}>
          {proposed.slice(0, PROPOSED_MAX).map((text) => (
            <option value={text} />
          ))}
        </datalist>
      )}
    </div>
  );
}

interface CountsProps {
  counts: ReadonlyArray<readonly [type: string, count: number]>;
  types: readonly string[];
  toggle: (type: string) => void;
}

/** How often each type is there; one that is pressed is all that is shown. */
export function Counts({ counts, types, toggle }: CountsProps) {
  const missing = types.filter((type) => !counts.some(([name]) => name === type)).map((type) => [type, 0] as const);
  const shown = [...counts.slice(0, COUNTS_MAX), ...missing.filter(([type]) => !type.endsWith("*"))];
  const rest = counts.length - COUNTS_MAX;
  if (shown.length === 0) return null;
  return (
    <ul class="feed-counts" aria-label="Types of what is shown">
      {shown.map(([type, count]) => (
        <li key={type}>
          <button type="button" class="plain chip" aria-pressed={types.includes(type)} onClick={() => toggle(type)}>
            {type} <b>{count}</b>
          </button>
        </li>
      ))}
      {rest > 0 && <li class="chip">and {rest} more types</li>}
    </ul>
  );
}
