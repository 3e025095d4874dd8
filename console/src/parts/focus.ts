// Focus is not lost when what has it goes away by itself: the content has it then, and Tab goes on from there.
// It never takes focus from anything that stays.
import { useLayoutEffect, useRef } from "preact/hooks";

/** For an element around what may have focus when it goes. */
export function useFocusBack<E extends HTMLElement>() {
  const around = useRef<E>(null);
  useLayoutEffect(() => {
    const own = around.current;
    return () => {
      if (own?.contains(document.activeElement)) document.getElementById("main")?.focus({ preventScroll: true });
    };
  }, []);
  return around;
}
