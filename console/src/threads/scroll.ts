// Where a growing list stands: at its end it stays at its end; who has scrolled up stays with what they read, whatever is added
// above or below. It knows nothing of what is listed.
import type { RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** So near counts as the end, in pixels. */
const NEAR_PX = 32;

interface Place {
  atEnd: boolean;
  /** The first child in sight, and how far below the upper edge it is. */
  anchor?: HTMLElement;
  offset: number;
  top: number;
  height: number;
}

/** `box` scrolls, and `list` in it has the lines as children. */
export function useStanding(box: RefObject<HTMLElement | null>, list: RefObject<HTMLElement | null>): { atEnd: boolean; toEnd: () => void } {
  const [atEnd, setAtEnd] = useState(true);
  const place = useRef<Place>({ atEnd: true, offset: 0, top: 0, height: 0 });
  const note = useCallback(() => {
    place.current = placeIn(box.current!, list.current!);
    setAtEnd(place.current.atEnd);
  }, []);
  const follow = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const { anchor, offset, top, height } = place.current;
    // Somebody scrolled up, and the event that says so has not come yet.
    if (place.current.atEnd && element.scrollTop < top - 4 && element.scrollHeight >= height) return note();
    if (place.current.atEnd) element.scrollTop = element.scrollHeight;
    else if (anchor?.isConnected) element.scrollTop += anchor.offsetTop - element.scrollTop - offset;
    place.current = { ...place.current, top: element.scrollTop, height: element.scrollHeight };
  }, []);
  useLayoutEffect(follow);
  useEffect(() => {
    const seen = new ResizeObserver(follow);
    seen.observe(box.current!);
    seen.observe(list.current!);
    const element = box.current!;
    element.addEventListener("scroll", note, { passive: true });
    return () => {
      seen.disconnect();
      element.removeEventListener("scroll", note);
    };
  }, []);
  const toEnd = useCallback(() => {
    place.current = { ...place.current, atEnd: true, top: 0 };
    follow();
    setAtEnd(true);
  }, []);
  return { atEnd, toEnd };
}

function placeIn(box: HTMLElement, list: HTMLElement): Place {
  const { scrollTop: top, scrollHeight: height } = box;
  const anchor = firstBelow(list.children, top);
  return { atEnd: height - top - box.clientHeight < NEAR_PX, anchor, offset: (anchor?.offsetTop ?? 0) - top, top, height };
}

/** Lines stand one below the other, so half of them can be left out at each look. */
function firstBelow(lines: HTMLCollection, top: number): HTMLElement | undefined {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { offsetTop, offsetHeight } = lines[middle] as HTMLElement;
    if (offsetTop + offsetHeight <= top) low = middle + 1;
    else high = middle;
  }
  return lines[low] as HTMLElement | undefined;
}
