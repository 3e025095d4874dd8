// Says that something was done, where whoever did it is then: the button that they pressed may be gone, and the focus with it.
// It never says what failed; that is said at the button.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** A line for the view, and what writes it. */
export function useDone(): { line: ComponentChildren; say(text: string): void } {
  const [said, set] = useState({ text: "", turn: 0 });
  const at = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (said.turn === 0) return;
    // Behind a modal dialog nothing takes the focus.
    let frame = requestAnimationFrame(function focus() {
      if (document.querySelector("dialog[open]")) frame = requestAnimationFrame(focus);
      else at.current?.focus();
    });
    return () => cancelAnimationFrame(frame);
  }, [said.turn]);
  const say = useCallback((text: string) => set(({ turn }) => ({ text, turn: turn + 1 })), []);
  return {
    say,
    line: said.text && (
      <p ref={at} class="done" tabIndex={-1}>
        {said.text}
      </p>
    ),
  };
}
