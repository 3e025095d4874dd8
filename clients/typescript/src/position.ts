// Where a reader stands in a topic, and what an event is to it: the next, a repeat, or behind a hole.
// Pure: it never reads a log and keeps nothing.

/** A place in a topic. */
export interface Position {
  /** What to come back with: a cursor, or `earliest`. */
  cursor?: string;
  /** The seq of that place; unknown before the first answer. */
  seq?: number;
}

/** What is looked at of an event. */
export interface Placed {
  id: string;
  seq: number;
  fold?: { until: string };
}

/** The seq of a cursor: the number behind its last dot. */
export function seqOf(cursor: string | undefined): number | undefined {
  const digits = cursor === undefined ? undefined : /\.(\d+)$/.exec(cursor)?.[1];
  const seq = Number(digits);
  return Number.isSafeInteger(seq) ? seq : undefined;
}

/** The place that an event is at: of a folded one, that of its last append. */
export const placeOf = (event: Placed): string => event.fold?.until ?? event.id;

/** What an event is to who stands at `position`. Folded, seqs are left out behind the head, so that there are no holes. */
export function judge(position: Position, event: Placed, folded: boolean): "next" | "repeat" | "hole" {
  const seq = (event.fold && seqOf(event.fold.until)) ?? event.seq;
  if (position.seq === undefined || seq === position.seq + 1) return "next";
  if (seq <= position.seq) return "repeat";
  return folded ? "next" : "hole";
}

/** Behind an event. */
export function behind(event: Placed): Position {
  const cursor = placeOf(event);
  return { cursor, seq: (event.fold && seqOf(cursor)) ?? event.seq };
}

/** Behind a gap: everything that is kept follows, and `cursor` is what gets it again. */
export function behindGap(oldest: string, cursor: string): Position {
  const seq = seqOf(oldest);
  return { cursor, seq: seq === undefined ? undefined : seq - 1 };
}
