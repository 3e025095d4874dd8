// All of one event: beside the list where there is room, else in a dialog over it. It shows what came and changes nothing.
import { type FeedEvent, topicOf } from "@tambour/client";
import { useEffect, useRef, useState } from "preact/hooks";
import { Json } from "../parts";
import { href } from "../route";
import { about } from "./filter";
import { personOf, threadOf } from "./words";

/** Below this there is no room beside the list. */
const NARROW = "(max-width: 64rem)";

interface InspectorProps {
  event: FeedEvent;
  close: () => void;
  follow: (trace: string) => void;
}

export function Inspector(props: InspectorProps) {
  const narrow = useMedia(NARROW);
  return narrow ? <Over {...props} /> : <Beside {...props} />;
}

function Beside(props: InspectorProps) {
  return (
    <aside class="card feed-inspector" aria-labelledby="inspected">
      <Content {...props} />
    </aside>
  );
}

function Over(props: InspectorProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current!.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="feed-inspector" aria-labelledby="inspected" onClose={props.close}>
      <Content {...props} />
    </dialog>
  );
}

function Content({ event, close, follow }: InspectorProps) {
  const topic = topicOf(event);
  const told = about(event);
  return (
    <>
      <header>
        <h2 id="inspected">{event.type}</h2>
        <button type="button" class="plain" onClick={close}>
          Close
        </button>
      </header>
      <dl>
        <dt>Topic</dt>
        <dd>
          <Topic name={topic} /> <small>seq {event.seq}</small>
        </dd>
        {told && (
          <>
            <dt>Tells about</dt>
            <dd>
              <Topic name={told} />
            </dd>
          </>
        )}
        <dt>Person</dt>
        <dd>
          <bdi>{personOf(event)}</bdi> <small>{event.routing.actor_type}</small>
        </dd>
        <dt>Time</dt>
        <dd>
          <time dateTime={event.time}>{event.time}</time>
        </dd>
        <dt>Trace</dt>
        <dd class="mono">{event.meta.trace_id}</dd>
      </dl>
      <div class="acts">
        <button type="button" onClick={() => follow(event.meta.trace_id)}>
          Follow this trace
        </button>
        <Copy text={event.id} what="Copy the id" />
        <Copy text={JSON.stringify(event, null, 2)} what="Copy the JSON" />
      </div>
      <Json value={event} aria-label="The event as JSON" role="group" />
    </>
  );
}

function Topic({ name }: { name: string }) {
  const thread = threadOf(name);
  return thread === undefined ? <span class="mono">{name}</span> : <a class="mono" href={href("threads", thread)}>{name}</a>;
}

/** Copies a text, and says so where the button is; its name stays, so that nothing is read out twice. */
function Copy({ text, what }: { text: string; what: string }) {
  const [said, say] = useState("");
  useEffect(() => say(""), [text]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("This browser doesn’t let pages copy; mark the text below.");
    }
  };
  return (
    <span class="act">
      <button type="button" class="plain" onClick={copy}>
        {what}
      </button>
      <small role="status">{said}</small>
    </span>
  );
}

/** Whether a media query holds, also when the window changes. */
function useMedia(query: string): boolean {
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
