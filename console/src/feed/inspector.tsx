// All of one event: beside the list where there is room, else in a dialog over it. It shows what came and changes nothing.
import { type FeedEvent, topicOf } from "@tambour/client";
import { useRef } from "preact/hooks";
import { Json } from "../parts";
import { Copy } from "../parts/copy";
import { Dialog } from "../parts/dialog";
import { NO_ROOM_BESIDE, useMedia } from "../parts/media";
import { href } from "../route";
import { about } from "./filter";
import { personOf, threadOf } from "./words";

interface InspectorProps {
  event: FeedEvent;
  close: () => void;
  follow: (trace: string) => void;
}

export function Inspector(props: InspectorProps) {
  const over = useMedia(NO_ROOM_BESIDE);
  return over ? <Over {...props} /> : <Beside {...props} />;
}

function Beside(props: InspectorProps) {
  return (
    <aside class="card feed-inspector" aria-labelledby="inspected">
      <header>
        <h2 id="inspected">{props.event.type}</h2>
        <button type="button" class="plain" onClick={props.close}>
          Close
        </button>
      </header>
      <Content {...props} />
    </aside>
  );
}

function Over(props: InspectorProps) {
  return (
    <Dialog title={props.event.type} close={props.close} class="wide feed-inspector">
      <Content {...props} />
      <div class="acts">
        <button type="button" onClick={props.close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Content({ event, follow }: InspectorProps) {
  const topic = topicOf(event);
  const told = about(event);
  const json = useRef<HTMLDivElement>(null);
  const id = useRef<HTMLElement>(null);
  return (
    <>
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
        <dt>Id</dt>
        <dd class="mono" ref={id}>
          {event.id}
        </dd>
        <dt>Trace</dt>
        <dd class="mono">{event.meta.trace_id}</dd>
      </dl>
      <div class="acts">
        <button type="button" onClick={() => follow(event.meta.trace_id)}>
          Follow this trace
        </button>
        <Copy text={event.id} select={() => id.current}>
          Copy the id
        </Copy>
        <Copy text={JSON.stringify(event, null, 2)} select={() => json.current}>
          Copy the JSON
        </Copy>
      </div>
      <div ref={json}>
        <Json value={event} aria-label="The event as JSON" role="group" />
      </div>
    </>
  );
}

function Topic({ name }: { name: string }) {
  const thread = threadOf(name);
  return thread === undefined ? <span class="mono">{name}</span> : <a class="mono" href={href("threads", thread)}>{name}</a>;
}
