// The rows of the feed: a list box whose options are moved through by arrow keys. It stays at its end while nobody has
// scrolled away from there, and where it is otherwise. It knows no hub, and what it shows is text.
import type { FeedEvent } from "@tambour/client";
import { Component, type ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { after, clock, excerpt, personOf, shownTopic } from "./words";

/** Pixels from the end that count as being there. */
const END_PX = 24;
/** Rows that a page key moves by. */
const PAGE_ROWS = 10;

interface ListProps {
  events: readonly FeedEvent[];
  /** The row that keys act on. */
  active?: string;
  /** The row that is inspected. */
  open?: string;
  /** Times are told from the first row on. */
  since: boolean;
  move: (event: FeedEvent) => void;
  inspect: (event: FeedEvent) => void;
  /** Before the first row. */
  children?: ComponentChildren;
}

export const idOf = (event: FeedEvent): string => `event-${event.feed_id}`;

export function List({ events, active, open, since, move, inspect, children }: ListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [atEnd, toEnd, scrolled] = useStay(scroller, events);
  const at = events.findIndex(({ feed_id }) => feed_id === active);
  const go = (to: number) => {
    const event = events[Math.min(Math.max(to, 0), events.length - 1)];
    if (!event) return;
    move(event);
    document.getElementById(idOf(event))?.scrollIntoView({ block: "nearest" });
  };
  const key = (event: KeyboardEvent) => {
    const to = target(event.key, at, events.length);
    if (to !== undefined) go(to);
    else if ((event.key === "Enter" || event.key === " ") && events[at]) inspect(events[at]);
    else return;
    event.preventDefault();
  };
  const first = since ? events[0]?.time : undefined;
  return (
    <div class="feed-list">
      <div class="feed-scroll" ref={scroller} onScroll={scrolled}>
        {children}
        <div
          id="feed-rows"
          class="feed-rows"
          role="listbox"
          aria-label="Events, oldest first"
          tabIndex={0}
          aria-activedescendant={at >= 0 ? idOf(events[at]!) : undefined}
          onKeyDown={key}
          onFocus={() => at < 0 && events.length > 0 && move(events[events.length - 1]!)}
        >
          {events.map((event) => (
            <Row key={event.feed_id} event={event} first={first} isActive={event.feed_id === active} isOpen={event.feed_id === open} inspect={inspect} />
          ))}
        </div>
      </div>
      {!atEnd && (
        <button type="button" class="feed-newest" onClick={toEnd}>
          ↓ Newest
        </button>
      )}
    </div>
  );
}

/** Where a key moves to; nothing where it moves nowhere. */
export function target(key: string, at: number, count: number): number | undefined {
  if (count === 0) return undefined;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE_ROWS, PageUp: -PAGE_ROWS }[key];
  if (by === undefined) return undefined;
  // The row that it was at is gone: begin at the end.
  return at < 0 ? count - 1 : at + by;
}

/**
 * Keeps what somebody reads where it is while rows come and go, also before it; at the end it stays at the end. Browsers
 * do half of this by themselves, and not all of them.
 */
function useStay(scroller: { current: HTMLDivElement | null }, events: readonly FeedEvent[]): [atEnd: boolean, toEnd: () => void, scrolled: () => void] {
  const [atEnd, setAtEnd] = useState(true);
  const stay = useRef<{ end: boolean; row?: HTMLElement; top: number }>({ end: true, top: 0 });
  const look = () => {
    const box = scroller.current!;
    const end = box.scrollHeight - box.scrollTop - box.clientHeight <= END_PX;
    const row = end ? undefined : firstSeen(box);
    stay.current = { end, row, top: row ? row.offsetTop - box.scrollTop : 0 };
    setAtEnd(end);
  };
  useLayoutEffect(() => {
    const box = scroller.current!;
    const { end, row, top } = stay.current;
    if (end) box.scrollTop = box.scrollHeight;
    else if (row?.isConnected) box.scrollTop = row.offsetTop - top;
    look();
  }, [events]);
  const toEnd = () => {
    stay.current = { end: true, top: 0 };
    scroller.current!.scrollTop = scroller.current!.scrollHeight;
    document.getElementById("feed-rows")?.focus({ preventScroll: true });
  };
  return [atEnd, toEnd, look];
}

/** The first row that is seen, found by halving. */
function firstSeen(box: HTMLElement): HTMLElement | undefined {
  const rows = box.querySelector(".feed-rows")!.children;
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const row = rows[middle] as HTMLElement;
    if (row.offsetTop + row.offsetHeight <= box.scrollTop) low = middle + 1;
    else high = middle;
  }
  return rows[low] as HTMLElement | undefined;
}

interface RowProps {
  event: FeedEvent;
  first?: string;
  isActive: boolean;
  isOpen: boolean;
  inspect: (event: FeedEvent) => void;
}

/** One event. It is drawn again only where it is shown otherwise: there may be a thousand of them, and many new ones a second. */
class Row extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    const { event, first, isActive, isOpen } = this.props;
    return next.event !== event || next.first !== first || next.isActive !== isActive || next.isOpen !== isOpen;
  }

  override render({ event, first, isActive, isOpen }: RowProps) {
    return (
      <div
        id={idOf(event)}
        class={`feed-row${isActive ? " active" : ""}`}
        role="option"
        aria-selected={isOpen}
        onClick={() => this.props.inspect(event)}
      >
        <time dateTime={event.time} title={event.time}>
          {first === undefined ? clock(event.time) : after(first, event.time)}
        </time>
        <span class="feed-type">{event.type}</span>
        <span class="feed-topic" title={shownTopic(event)}>
          {shownTopic(event)}
        </span>
        <bdi class="feed-person">{personOf(event)}</bdi>
        <span class="feed-says" dir="auto">
          {excerpt(event)}
        </span>
      </div>
    );
  }
}
