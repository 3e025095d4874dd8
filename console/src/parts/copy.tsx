// Text to be taken away: a token, a command, a hash. Where the page may not write the clipboard, it says what to do instead.
// It keeps nothing.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const SAID_MS = 3_000;

/** Text that is shown, and a button that copies it; where that is not allowed it is selected. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const shown = useRef<HTMLElement>(null);
  return (
    <div class="copyable">
      <pre tabIndex={0} aria-label={label}>
        <code ref={shown}>{text}</code>
      </pre>
      <Copy text={text} label={`Copy: ${label}`} select={() => shown.current!}>
        Copy
      </Copy>
    </div>
  );
}

interface CopyProps {
  text: string;
  /** What it says to who can't see its surroundings. */
  label?: string;
  /** Where the text is shown. */
  select: () => Element | null;
  children: ComponentChildren;
}

/** The button alone. Its name stays, so that nothing is read out twice. */
export function Copy({ text, label, select, children }: CopyProps) {
  const [says, say] = useState("");
  useEffect(() => {
    if (!says) return;
    const timer = setTimeout(() => say(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [says]);
  useEffect(() => say(""), [text]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      const at = select();
      if (at) getSelection()?.selectAllChildren(at);
      say("Selected; copy it with your keyboard");
    }
  };
  return (
    <span class="act">
      <button type="button" class="plain" onClick={copy} aria-label={label}>
        {children}
      </button>
      <small role="status">{says}</small>
    </span>
  );
}
