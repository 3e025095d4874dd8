// Text to be taken away: a token, a command, a hash. Where the page may not write the clipboard, it is selected instead.
// It keeps nothing.
import { useEffect, useRef, useState } from "preact/hooks";

const SAID_MS = 3_000;

export function Copyable({ text, label }: { text: string; label: string }) {
  const [says, setSays] = useState("");
  const shown = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!says) return;
    const timer = setTimeout(() => setSays(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [says]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSays("Copied");
    } catch {
      getSelection()?.selectAllChildren(shown.current!);
      setSays("Selected; copy it with your keyboard");
    }
  };
  return (
    <div class="copyable">
      <pre tabIndex={0} aria-label={label}>
        <code ref={shown}>{text}</code>
      </pre>
      <button type="button" class="plain" onClick={copy} aria-label={`Copy: ${label}`}>
        {says === "Copied" ? "Copied" : "Copy"}
      </button>
      <span class={says.startsWith("Selected") ? undefined : "unseen"} role="status">
        {says}
      </span>
    </div>
  );
}
