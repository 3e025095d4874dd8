// Looks again when the hub is back: what is shown is from before.
// It asks nothing while the hub is away.
import { useEffect, useRef } from "preact/hooks";
import { reach } from "../../reach";

/** Calls `again` whenever the hub was away and is not any more. */
export function useBack(again: () => void): void {
  const was = useRef(reach.value);
  const now = reach.value;
  useEffect(() => {
    if (was.current === "away" && now === "live") again();
    was.current = now;
  }, [now]);
}
