// What is pressed, and how it went: one thing at a time, busy while it lasts, and why it was refused.
// It shows nothing.
import type { HubError } from "@tambour/client";
import { useState } from "preact/hooks";
import { asHubError } from "./errors";

export interface Running {
  busy: boolean;
  error?: HubError;
  /** Says whether it went well. */
  run(does: () => Promise<unknown> | void): Promise<boolean>;
}

export function useRun(): Running {
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
