// What is switched off now, for the view and for the line above every view: one question to the hub every few seconds, while
// somebody looks. It changes nothing.
import type { Hub, HubError, openapi } from "@tambour/client";
import { signal } from "@preact/signals";
import { asHubError } from "../../parts/errors";
import { poll } from "../../parts/poll";
import { answered } from "../../reach";

const EVERY_MS = 5_000;

export const switches = signal<openapi.KillSwitch | undefined>(undefined);
/** Why it is not known. */
export const unknown = signal<HubError | undefined>(undefined);

/** Asks once. */
export async function ask(hub: Hub, signal?: AbortSignal): Promise<openapi.KillSwitch> {
  const said = await hub.request<openapi.KillSwitch>("GET", "/v1/kill-switch", { signal });
  if (!signal?.aborted) show(said);
  return said;
}

/** What the hub said last; the same again is no news to who looks. */
export function show(said: openapi.KillSwitch): void {
  unknown.value = undefined;
  if (JSON.stringify(said) !== JSON.stringify(switches.value)) switches.value = said;
}

/** Asks again and again, until what it returns is called. */
export function follow(hub: Hub): () => void {
  const turn = async (signal: AbortSignal) => {
    try {
      await ask(hub, signal);
      if (!signal.aborted) answered();
    } catch (failed) {
      if (signal.aborted) return;
      unknown.value = asHubError(failed);
      answered(failed);
      throw failed;
    }
  };
  const stop = poll(turn, EVERY_MS);
  return () => {
    stop();
    switches.value = undefined;
    unknown.value = undefined;
  };
}
