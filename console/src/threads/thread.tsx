// One thread: its head, its conversation, and where one writes. It ties them together; what is read and sent is in chat.ts.
import type { Hub, HubError, openapi } from "@tambour/client";
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isAway, wordsOf } from "../parts/errors";
import { isNarrow } from "../parts/media";
import { type Resource, useResource } from "../parts/resource";
import { reach } from "../reach";
import { href } from "../route";
import type { Identity } from "../session";
import { about, type Chat, openChat, type Over } from "./chat";
import { Composer } from "./composer";
import { draftOf } from "./draft";
import { Hints } from "./hints";
import { nameOf } from "./listing";
import { Log } from "./log";
import { type Around, toBox } from "./message";
import { waiting } from "./outgoing";
import { rightsIn } from "./rights";
import { Settings } from "./settings";

/** The thread that every new hub has. */
const WELCOME = "welcome";

interface Asked {
  id: string;
  hub: Hub;
  identity: Identity;
  /** As the list has it; when that is another, the thread is asked for again. */
  inList?: openapi.Topic;
  /** Just made: who made it wants to write. */
  fresh: boolean;
  changed: () => void;
  gone: () => void;
}

export function Thread({ again, ...asked }: Asked & { again: () => void }) {
  const { id, hub, identity, inList } = asked;
  const chat = useMemo(() => openChat(hub, id), [hub, id]);
  useEffect(() => chat.start(), [chat]);
  const found = useResource((over) => about(hub, id, over), [hub, id]);
  const over = chat.over.value;
  const listed = JSON.stringify(inList);
  useEffect(() => void (found.value && found.reload()), [listed, over]);
  const draft = useMemo(() => signal(draftOf(id)), [id]);
  const rights = found.value && rightsIn(found.value, identity);
  const may = rights?.write ?? true;
  const around = useMemo<Around>(() => ({ chat, me: identity.sub, write: may && over === undefined }), [chat, identity.sub, may, over]);
  const edit = (text: string) => {
    draft.value = draft.value.trim() === "" ? text : `${draft.value}\n${text}`;
    toBox();
  };
  const closed = over === "closed" || (found.value?.closed ?? false);
  return (
    <section class="thread" aria-label="Thread">
      <TopLine {...asked} found={found} closed={closed} manage={rights?.manage ?? false} />
      <Log around={around} oldest={found.value?.oldest} edit={edit} />
      <Waiting chat={chat} />
      {id === WELCOME && <Hints chat={chat} identity={identity} />}
      {over !== undefined || closed ? (
        <Ended over={closed ? "closed" : over!} again={again} />
      ) : may ? (
        <Composer thread={id} draft={draft} send={(text) => chat.post(text)} focus={asked.fresh} />
      ) : (
        <p class="ended">You may read this thread, but not write in it.</p>
      )}
    </section>
  );
}

function TopLine({ id, hub, identity, found, closed, manage, changed, gone }: Asked & { found: Resource<openapi.Topic>; closed: boolean; manage: boolean }) {
  const [open, setOpen] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const thread = found.value;
  // Where the list gives way to the thread, the focus goes with it.
  useEffect(() => void (isNarrow() && heading.current?.focus()), []);
  return (
    <>
      <header class="top-line">
        <a class="back" href={href("threads")}>
          <span aria-hidden="true">‹ </span>All threads
        </a>
        <h2 ref={heading} tabIndex={-1}>
          <bdi title={thread ? nameOf(thread) : id}>{thread ? nameOf(thread) : id}</bdi>
        </h2>
        <p class="about">
          {thread?.title && <bdi class="mono">{id}</bdi>}
          {thread && <span class="chip">{thread.visibility}</span>}
          {closed && <span class="chip">closed</span>}
          {thread && thread.members.length > 0 && <span>{thread.members.length === 1 ? "1 member" : `${thread.members.length} members`}</span>}
        </p>
        {thread && (
          <button type="button" class="plain" aria-haspopup="dialog" onClick={() => setOpen(true)}>
            {manage ? "Manage" : "About"}
          </button>
        )}
      </header>
      {thread && open && (
        <Settings
          hub={hub}
          thread={thread}
          manage={manage || thread.creator === identity.sub}
          close={() => setOpen(false)}
          changed={() => (found.reload(), changed())}
          gone={gone}
        />
      )}
    </>
  );
}

/** What waits to be sent, and why nothing comes where the hub has answered; that it is away is said in the page's head. */
function Waiting({ chat }: { chat: Chat }) {
  const { now, error } = chat.state.value;
  const count = waiting(chat.box.value);
  useUnsent(count > 0);
  const why = now === "waiting" && error && !isAway(error) ? wordsOf(error) : "";
  const waits = reach.value === "away" || why !== "";
  const queued = count === 1 ? "1 message waits and is sent by itself." : `${count} messages wait and are sent by themselves.`;
  return (
    <p class="away" role="status">
      {why} {waits && count > 0 && queued}
    </p>
  );
}

/** What waits is in this page's memory: leaving it asks first. */
function useUnsent(waits: boolean): void {
  useEffect(() => {
    if (!waits) return;
    const ask = (event: Event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [waits]);
}

function Ended({ over, again }: { over: Over; again: () => void }) {
  return (
    <p class="ended" role="status">
      {typeof over === "string" ? ENDED[over] : refusedWords(over)}{" "}
      {over !== "closed" && over !== "deleted" && (
        <button type="button" class="plain small" onClick={again}>
          Try again
        </button>
      )}
    </p>
  );
}

const ENDED = {
  closed: "This thread is closed. It can be read, and nobody can write in it any more.",
  deleted: "This thread was deleted.",
  forbidden: "You may not read this thread any more.",
  replaced: "Another page reads with the same stream token, so this one has stopped.",
};

function refusedWords(error: HubError): string {
  if (error.code === "topic.unknown") return "There is no thread with this id, or not any more.";
  if (error.code === "permission.denied") return "You may not read this thread.";
  if (error.code === "kill_switch.blocked") return `Reading is switched off: ${error.detail}`;
  return `${error.code}: ${wordsOf(error)}`;
}
