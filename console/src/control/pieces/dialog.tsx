// A dialog that is there while it is open: native, so that keys, the focus and screen readers know it.
// It never asks for consent; that is Confirm.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export function Dialog({ title, close, wide, children }: { title: ComponentChildren; close(): void; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const gone = useRef(false);
  useEffect(() => {
    const shown = dialog.current!;
    const before = document.activeElement;
    shown.showModal();
    return () => {
      gone.current = true;
      shown.close();
      // Who is taken out of the page gives no focus back by itself.
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} class={wide ? "wide" : undefined} aria-labelledby={id} onClose={() => !gone.current && close()}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}
