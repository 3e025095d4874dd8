// Where a growing list stands: at its end it stays at its end; who has scrolled up stays with what they read, whatever is added
// above or below. It changes nothing but where the list is scrolled to.
import type { RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** So near counts as the end, in pixels. */
const NEAR_PX = 32;
/** What stays in the list while more is added. */
const LINE = ".said, .note";
/** Less is rounding. */
const SCROLLED_PX = 4;

interface Place {
  atEnd: boolean;
  /** The first line in sight, and how far below the upper edge it is. What stands between lines comes and goes. */
  anchor?: HTMLElement;
  offset: number;
  top: number;
}

/** `box` scrolls, and `list` in it has the lines as children. */
export function useStanding(box: RefObject<HTMLElement | null>, list: RefObject<HTMLElement | null>): { atEnd: boolean; toEnd: () => void } {
  const [atEnd, setAtEnd] = useState(true);
  const place = useRef<Place>({ atEnd: true, offset: 0, top: 0 });
  const follow = useCallback(() => {
    const element = box.current;
    if (!element || !list.current) return;
    // At the end is who was there and has not scrolled up since: that the end has moved away says nothing.
    const { atEnd, top, anchor, offset } = place.current;
    if (near(element) || (atEnd && element.scrollTop >= top - SCROLLED_PX)) element.scrollTop = element.scrollHeight;
    else if (!atEnd && anchor?.isConnected) element.scrollTop += anchor.offsetTop - element.scrollTop - offset;
    note();
  }, []);
  const note = useCallback(() => {
    place.current = placeIn(box.current!, list.current!);
    setAtEnd(place.current.atEnd);
  }, []);
  const scrolled = useCallback(() => {
    const { atEnd, top } = place.current;
    if (atEnd && box.current!.scrollTop >= top - SCROLLED_PX) follow();
    else note();
  }, []);
  useLayoutEffect(follow);
  useEffect(() => {
    const seen = new ResizeObserver(follow);
    seen.observe(box.current!);
    seen.observe(list.current!);
    const element = box.current!;
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      seen.disconnect();
      element.removeEventListener("scroll", scrolled);
    };
  }, []);
  const toEnd = useCallback(() => {
    place.current = { ...place.current, atEnd: true, top: 0 };
    follow();
  }, []);
  return { atEnd, toEnd };
}

const near = (box: HTMLElement): boolean => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;

function placeIn(box: HTMLElement, list: HTMLElement): Place {
  const top = box.scrollTop;
  const anchor = firstBelow(list.children, top);
  return { atEnd: near(box), anchor, offset: (anchor?.offsetTop ?? 0) - top, top };
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
  while (low < lines.length && !lines[low]!.matches(LINE)) low++;
  return lines[low] as HTMLElement | undefined;
}
