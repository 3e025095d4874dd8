// A dialog that is there while it is open: native, so that keys and screen readers know it, and the focus goes back to where it
// was. It never closes by itself; who opened it takes it away.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Act } from ".";

interface DialogProps {
  title: ComponentChildren;
  /** Called once, when somebody closes it by Escape. */
  close: () => void;
  /** Of its look: `wide`, for example. */
  class?: string;
  children?: ComponentChildren;
}

export function Dialog({ title, close, class: look, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const gone = useRef(false);
  // At once: what comes behind it may want the focus, and gets none beside an open dialog.
  useLayoutEffect(() => {
    const shown = dialog.current!;
    const before = document.activeElement;
    shown.showModal();
    return () => {
      gone.current = true;
      shown.close();
      // Who is taken out of the page gives no focus back by itself; and what had it may be gone meanwhile.
      const to = before instanceof HTMLElement && before !== document.body && before.isConnected ? before : document.getElementById("main");
      to?.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog ref={dialog} class={look} aria-labelledby={id} onClose={() => !gone.current && close()}>
      <h2 id={id} dir="auto">
        {title}
      </h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children?: ComponentChildren;
  /** The word on the button that does it. */
  does: string;
  run: () => Promise<unknown>;
  close: () => void;
}

/** Asks before something that can't be taken back. */
export function Confirm({ title, children, does, run, close }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      {children}
      <div class="acts">
        <button type="button" class="plain" onClick={close}>
          Cancel
        </button>
        <Act kind="danger" run={async () => (await run(), close())}>
          {does}
        </Act>
      </div>
    </Dialog>
  );
}
