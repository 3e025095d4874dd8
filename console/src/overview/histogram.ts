// How long deliveries took: from two readings of a histogram that only grows, what happened between them.
// Rules alone. It never invents precision: within a bucket it draws a straight line, above the last bound it says that bound.

/** `counts` has one more than `bounds`: what is above the last. Bounds are seconds, and ascend. */
export interface Histogram {
  bounds: readonly number[];
  counts: readonly number[];
}

/** What came between two readings, by bucket; nothing where they can't be of the same histogram. */
export function difference(before: Histogram, now: Histogram): Histogram | undefined {
  if (before.counts.length !== now.counts.length || now.bounds.some((bound, at) => bound !== before.bounds[at])) return undefined;
  const counts = now.counts.map((count, at) => count - before.counts[at]!);
  return counts.some((count) => count < 0) ? undefined : { bounds: now.bounds, counts };
}

/** The value that a `share` of all (0 to 1) is at or below; nothing where there is none. */
export function quantile({ bounds, counts }: Histogram, share: number): number | undefined {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all <= 0) return undefined;
  const rank = share * all;
  let below = 0;
  for (const [at, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const from = bounds[at - 1] ?? 0;
      const to = bounds[at] ?? from;
      return from + (to - from) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  // Sums of fractions may miss the last rank by a hair.
  return bounds.at(-1);
}
