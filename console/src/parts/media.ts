// How much room there is, where CSS alone can't say what follows from it.
// Rules of the look are in style.css, with the same widths.
import { useEffect, useState } from "preact/hooks";

/** One column, and no room for a list beside what is chosen in it. */
export const NARROW = "(max-width: 46rem)";
/** No room for something beside a wide list. */
export const NO_ROOM_BESIDE = "(max-width: 64rem)";

export const isNarrow = (): boolean => matchMedia(NARROW).matches;

/** Whether a media query holds, also when the window changes. */
export function useMedia(query: string): boolean {
  const [holds, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = () => set(media.matches);
    changed();
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return holds;
}
