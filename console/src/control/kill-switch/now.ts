// What is switched off now, for the view and for the line above every view: one question to the hub every few seconds, while
// somebody looks. It changes nothing.
import type { Hub, HubError, openapi } from "@tambour/client";
import { signal } from "@preact/signals";
import { asHubError } from "../../parts/resource";
import { answered } from "../../reach";

const EVERY_MS = 5_000;
const AWAY_EVERY_MS = 2_000;

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

/** Asks again and again, not while the page is hidden; the answer ends it. */
export function follow(hub: Hub): () => void {
  const over = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking = false;
  const turn = async () => {
    clearTimeout(timer);
    if (asking || over.signal.aborted || document.visibilityState === "hidden") return;
    asking = true;
    let error: HubError | undefined;
    try {
      await ask(hub, over.signal);
    } catch (failed) {
      error = asHubError(failed);
    }
    asking = false;
    if (over.signal.aborted) return;
    answered(error);
    unknown.value = error;
    timer = setTimeout(turn, error ? AWAY_EVERY_MS : EVERY_MS);
  };
  const seen = () => void turn();
  document.addEventListener("visibilitychange", seen);
  void turn();
  return () => {
    over.abort();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    switches.value = undefined;
    unknown.value = undefined;
  };
}
