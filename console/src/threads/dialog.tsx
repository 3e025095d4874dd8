// A dialog with a heading, and how what is pressed in it went. Native, so that Escape closes it and the focus goes back.
import type { HubError } from "@tambour/client";
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { asHubError } from "../parts/resource";

/** Its content is made anew each time it opens. */
export function Dialog({ open, title, close, children }: { open: boolean; title: ComponentChildren; close: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // At once: what comes behind it may want the focus, and gets none beside an open dialog.
  useLayoutEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open && dialog.current?.open) dialog.current.close();
  }, [open]);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {open && children}
    </dialog>
  );
}

/** Does one thing at a time, and keeps why it was refused. `run` says whether it went well. */
export function useRun(): { busy: boolean; error?: HubError; run(does: () => Promise<unknown>): Promise<boolean> } {
  const [now, set] = useState<{ busy: boolean; error?: HubError }>({ busy: false });
  return {
    ...now,
    async run(does) {
      if (now.busy) return false;
      set({ busy: true });
      try {
        await does();
        set({ busy: false });
        return true;
      } catch (error) {
        set({ busy: false, error: asHubError(error) });
        return false;
      }
    },
  };
}

/** What a form has under a name. */
export const textOf = (form: FormData, name: string): string => String(form.get(name) ?? "").trim();
