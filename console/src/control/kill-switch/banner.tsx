// The line above every view while something is off: who reads “publishing is refused” should not have to look for why.
// It is empty, and takes no room, while everything is on.
import { useEffect } from "preact/hooks";
import { Time } from "../../parts";
import { href, route } from "../../route";
import { hub } from "../../session";
import { follow, switches } from "./now";
import { offOf, ordered, said } from "./rules";

const SHOWN_MAX = 3;

export function SwitchedOff() {
  const now = hub.value;
  useEffect(() => (now ? follow(now) : undefined), [now]);
  const state = switches.value;
  const off = state ? ordered(offOf(state)) : [];
  const more = off.length - SHOWN_MAX;
  return (
    <div aria-live="polite">
      {state && off.length > 0 && (
        <p class="switched-off">
          <span>
            <strong>Switched off:</strong>{" "}
            {off.slice(0, SHOWN_MAX).map((item, at) => (
              <span key={item}>
                {at > 0 && " · "}
                {said(item).words}
                {said(item).name && <code> {said(item).name}</code>}
              </span>
            ))}
            {more > 0 && ` · and ${more} more`}
            {state.reason && (
              <span class="why">
                {" "}
                <q dir="auto">{state.reason}</q>
              </span>
            )}
            {state.changed_at && (
              <span class="why">
                {" "}
                by <bdi>{state.changed_by}</bdi>, <Time at={state.changed_at} />
              </span>
            )}
          </span>
          {route.value.view !== "kill-switch" && <a href={href("kill-switch")}>Show the kill switch</a>}
        </p>
      )}
    </div>
  );
}
