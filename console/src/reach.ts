// Whether the hub can be reached, as views find out: the one line in the page's head says so.
// It asks nothing by itself.
import { HubError, type Subscription } from "@tambour/client";
import { signal } from "@preact/signals";
import { route } from "./route";

export type Reach = "connecting" | "live" | "away";
export const reach = signal<Reach>("connecting");
/** What carries the live view: `ws`, `sse` or `poll`. */
export const carrier = signal<string | undefined>(undefined);

/** For the `state` handler of a subscription. */
export function told(state: Subscription["state"], how: { transport?: string }): void {
  if (state === "live") carrier.value = how.transport;
  if (state === "live" || state === "waiting") reach.value = state === "live" ? "live" : "away";
}

/** An answer came, or did not. */
export function answered(error?: unknown): void {
  const away = error instanceof HubError && (error.status === 0 || error.status >= 502);
  reach.value = away ? "away" : "live";
}

// What carried one view carries no other.
let shown = route.value.view;
route.subscribe(({ view }) => {
  if (view !== shown) carrier.value = undefined;
  shown = view;
});
