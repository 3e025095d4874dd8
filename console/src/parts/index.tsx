// The small pieces that every view is made of. None of them knows a hub.
import type { HubError } from "@tambour/client";
import type { ComponentChildren, ComponentProps } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asHubError } from "./resource";

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
      <code>{error.code}</code> {wordsOf(error)}
      {again && (
        <button type="button" class="plain" onClick={again}>
          Try again
        </button>
      )}
    </p>
  );
}

/** The hub's words, or ours where nobody answered. */
export function wordsOf(error: HubError): string {
  if (error.code === "client.network") return "The hub can’t be reached; trying again.";
  if (error.status === 403 && error.code === "permission.denied") return `You may not: ${error.detail}`;
  return error.detail || "The hub refused.";
}

/** A button that does something and says how it went: it can't be pressed twice, and shows what was refused. */
export function Act({ run, children, kind, disabled, label }: ActProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<HubError>();
  const press = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await run();
    } catch (failed) {
      setError(asHubError(failed));
    } finally {
      setBusy(false);
    }
  };
  return (
    <span class="act">
      <button type="button" class={kind} disabled={disabled || busy} aria-busy={busy} aria-label={label} onClick={press}>
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

/** Asks before something that can't be taken back; a native dialog, so that keys and screen readers know it. */
export function Confirm({ open, title, children, does, run, close }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open && dialog.current?.open) dialog.current.close();
  }, [open]);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="confirm-title">
      <h2 id="confirm-title">{title}</h2>
      {children}
      <div class="acts">
        <button type="button" class="plain" onClick={close}>
          Cancel
        </button>
        {open && (
          <Act kind="danger" run={async () => (await run(), close())}>
            {does}
          </Act>
        )}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  open: boolean;
  title: string;
  children?: ComponentChildren;
  /** The word on the button that does it. */
  does: string;
  run: () => Promise<unknown>;
  close: () => void;
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

/** A table with a caption for who can't see it, that scrolls by itself where it is too wide. */
export function Table({ caption, head, children }: { caption: string; head: ComponentChildren[]; children: ComponentChildren }) {
  return (
    <div class="table" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {head.map((cell) => (
              <th scope="col">{cell}</th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
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
