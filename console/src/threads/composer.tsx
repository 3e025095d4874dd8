// Where one writes. It keeps what was typed, and sends nothing by itself.
import { effect, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { keepDraft } from "./draft";

interface Asked {
  thread: string;
  draft: Signal<string>;
  send: (text: string) => void;
  /** Takes the focus when it is there. */
  focus: boolean;
}

export function Composer({ thread, draft, send, focus }: Asked) {
  const box = useRef<HTMLTextAreaElement>(null);
  const text = draft.value;
  // At once with each key: a reload waits for no drawing.
  useEffect(() => effect(() => keepDraft(thread, draft.value)), [thread, draft]);
  useEffect(() => void (focus && box.current?.focus()), []);
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() === "") return;
    send(text.trim());
    draft.value = "";
    box.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    // Enter also ends what an input method composes; 229 is how Safari says so.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    submit(event);
  };
  return (
    <form class="composer" onSubmit={submit}>
      <textarea
        id="say"
        ref={box}
        rows={1}
        dir="auto"
        aria-label="Message"
        aria-describedby="say-hint"
        placeholder="Write a message"
        value={text}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={key}
      />
      <button aria-disabled={text.trim() === ""}>Send</button>
      <small id="say-hint">Enter sends, Shift+Enter makes a line.</small>
    </form>
  );
}
