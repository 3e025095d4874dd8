// The small pieces that every view is made of. None of them knows a hub.
import type { HubError } from "@tambour/client";
import type { ComponentChildren, ComponentProps } from "preact";
import { isAway, wordsOf } from "./errors";
import type { Resource } from "./resource";
import { useRun } from "./run";

/** A view's heading, what it is for, and what may be done with all of it. */
export function Head({ title, says, children }: { title: string; says?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <header class="view-head">
      <div>
        <h1>{title}</h1>
        {says && <p>{says}</p>}
      </div>
      {children && <div class="acts">{children}</div>}
    </header>
  );
}

/** What a refusal means for who looks. */
export function Refused({ error, again }: { error?: HubError; again?: () => void }) {
  if (!error) return null;
  return (
    <p class="refused" role="alert">
      <code>{error.code}</code> <span>{wordsOf(error)}</span>
      {again && (
        <button type="button" class="plain" onClick={again}>
          Try again
        </button>
      )}
    </p>
  );
}

/**
 * Why what was asked for is not there, or not from now. While the hub is away the head of the page says so, and what was there
 * stays; a refusal is said here.
 */
export function Standing({ of: { value, error, reload } }: { of: Pick<Resource<unknown>, "value" | "error" | "reload"> }) {
  if (error && !isAway(error)) return <Refused error={error} again={reload} />;
  if (value !== undefined) return null;
  return <Empty>{error ? "The hub is away. This is shown when it is back." : "Asking the hub…"}</Empty>;
}

/**
 * A button that does something and says how it went: it can't be pressed twice, and shows what was refused. While it is busy it
 * keeps the focus, which a disabled one would lose.
 */
export function Act({ run: does, children, kind, disabled, label }: ActProps) {
  const { busy, error, run } = useRun();
  return (
    <span class="act">
      <button type="button" class={kind} disabled={disabled} aria-disabled={busy || undefined} aria-busy={busy} aria-label={label} onClick={() => void run(does)}>
        {children}
      </button>
      <Refused error={error} />
    </span>
  );
}

interface ActProps {
  run: () => Promise<unknown> | void;
  children: ComponentChildren;
  kind?: "plain" | "danger";
  disabled?: boolean;
  /** What it says to who can't see its surroundings: “End the session of ada”. */
  label?: string;
}

/** A labelled field of a form. */
export function Field({ label, hint, children }: { label: string; hint?: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}

/** A time of the hub: the clock where it was today, the day and the clock before; in full for who points at it. */
export function Time({ at }: { at: string }) {
  const time = new Date(at);
  const today = time.toDateString() === new Date().toDateString();
  const text = today ? time.toLocaleTimeString() : time.toLocaleString();
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  );
}

/** What stands above a column: words, or more to say of it. */
export type Heading = string | { words: string; /** Of figures: at the end, as they are. */ number?: boolean; /** For who can't see that it is plain. */ unseen?: boolean };

interface TableProps {
  caption: string;
  head: Heading[];
  /** In a narrow window each row is a card; its cells say what they are by `data-label`. */
  cards?: boolean;
  children: ComponentChildren;
}

/** A table with a caption for who can't see it, that scrolls by itself where it is too wide. */
export function Table({ caption, head, cards, children }: TableProps) {
  return (
    <div class={cards ? "table cards" : "table"} tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>{head.map((one) => headingOf(typeof one === "string" ? { words: one } : one))}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

const headingOf = ({ words, number, unseen }: Exclude<Heading, string>) => (
  <th scope="col" class={number ? "number" : undefined}>
    {unseen ? <span class="unseen">{words}</span> : words}
  </th>
);

/** One fact of a `<dl class="facts">`. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Nothing is here, and what to do about it. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** JSON, as it can be read. */
export function Json({ value, ...rest }: { value: unknown } & Omit<ComponentProps<"pre">, "children">) {
  return (
    <pre class="json" tabIndex={0} {...rest}>
      {JSON.stringify(value, null, 2)}
    </pre>
  );
}
