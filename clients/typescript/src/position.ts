// Where a reader stands in a topic or the feed, and what an event is to it: the next, a repeat, or behind a hole.
// Pure: it never reads a log and keeps nothing.

/** A place in a topic, or in the feed. */
export interface Position {
  /** What to come back with: a cursor, or `earliest`. */
  cursor?: string;
  /** The seq of that place, in the feed its number there; unknown before the first answer. */
  seq?: number;
}

/** What is looked at of an event. */
export interface Placed {
  id: string;
  seq: number;
  feed_id?: string;
  fold?: { until: string };
}

/** The seq of a cursor: the number behind its last dot. */
export function seqOf(cursor: string | undefined): number | undefined {
  const digits = cursor === undefined ? undefined : /\.(\d+)$/.exec(cursor)?.[1];
  const seq = Number(digits);
  return Number.isSafeInteger(seq) ? seq : undefined;
}

/** At a cursor. */
export const at = (cursor: string | undefined): Position => ({ cursor, seq: seqOf(cursor) });

/** Behind an event: in the feed its place there, of a folded one that of its last append. */
export function behind({ id, seq, feed_id, fold }: Placed): Position {
  const cursor = feed_id ?? fold?.until ?? id;
  return { cursor, seq: seqOf(cursor) ?? seq };
}

/** What an event is to who stands at `position`. `sparse`: places may be left out, in the feed and where appends are folded, so that there are no holes. */
export function judge(position: Position, event: Placed, sparse: boolean): "next" | "repeat" | "hole" {
  const seq = behind(event).seq!;
  if (position.seq === undefined || seq === position.seq + 1) return "next";
  if (seq <= position.seq) return "repeat";
  return sparse ? "next" : "hole";
}

/** Behind a gap of a topic: everything that is kept follows, and `cursor` is what gets it again. */
export function behindGap(oldest: string, cursor: string): Position {
  const seq = seqOf(oldest);
  return { cursor, seq: seq === undefined ? undefined : seq - 1 };
}
