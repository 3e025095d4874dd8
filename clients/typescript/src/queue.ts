// What waits to be published to one topic, in order: what may join, what is merged, when it is full.
// Pure: every change makes a new list, and nothing is sent here.

/** Texts are merged up to so many characters, far below the hub's 64 KiB of JSON for one entry. */
export const MERGED_TEXT_MAX = 8_192;

/** An event whose id is known, or will be. */
export type Target = string | { id: string } | PromiseLike<{ id: string }>;

/** One write. */
export interface Entry<W = unknown> {
  /** Under this the hub writes it once, however often it is sent. */
  readonly key: string;
  readonly kind: "publish" | "append";
  /** Of a publish, its type. */
  readonly type?: string;
  /** Of an append, the event that gets the text. */
  readonly target?: Target;
  /** Of a publish, JSON; of an append, the text itself. */
  readonly data: string;
  readonly expect?: string;
  /** Nothing may be merged into it: it was sent, or its key is the caller's. */
  readonly fixed: boolean;
  /** Who waits for the answer. */
  readonly waiting: readonly W[];
}

/** Whether `next` can become a part of `last`. */
export function merges(last: Entry | undefined, next: Entry): boolean {
  return (
    last !== undefined &&
    last.kind === "append" &&
    next.kind === "append" &&
    !last.fixed &&
    !next.fixed &&
    last.target === next.target &&
    last.data.length + next.data.length <= MERGED_TEXT_MAX
  );
}

/** The list with one entry more, perhaps merged into the last; nothing when there is no room. */
export function offer<W>(list: readonly Entry<W>[], next: Entry<W>, room: number): readonly Entry<W>[] | undefined {
  const last = list.at(-1);
  if (last && merges(last, next)) {
    const merged = { ...last, data: last.data + next.data, waiting: [...last.waiting, ...next.waiting] };
    return [...list.slice(0, -1), merged];
  }
  return room > 0 ? [...list, next] : undefined;
}

/** The first is sent now, and stays as it is. */
export function fix<W>(list: readonly Entry<W>[]): readonly Entry<W>[] {
  const [first, ...rest] = list;
  return first ? [{ ...first, fixed: true }, ...rest] : list;
}

/** Without the first, which was answered. */
export const settled = <W>(list: readonly Entry<W>[]): readonly Entry<W>[] => list.slice(1);

/** Without a waiter who gave up; an entry that nobody waits for and that was never sent goes. */
export function without<W>(list: readonly Entry<W>[], waiter: W, sent: boolean): readonly Entry<W>[] {
  return list.filter((entry, at) => (at === 0 && sent) || entry.waiting.length !== 1 || entry.waiting[0] !== waiter);
}
