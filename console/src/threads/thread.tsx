// One thread: its head, its conversation, and where one writes. It ties them together; what is read and sent is in chat.ts.
import type { Hub, HubError, openapi } from "@tambour/client";
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { wordsOf } from "../parts";
import { type Resource, useResource } from "../parts/resource";
import { href } from "../route";
import type { Identity } from "../session";
import { about, type Chat, openChat, type Over } from "./chat";
import { Composer } from "./composer";
import { draftOf } from "./draft";
import { answered, linesOf } from "./lines";
import { nameOf } from "./listing";
import { Log } from "./log";
import { type Around, toBox } from "./message";
import { waiting } from "./outgoing";
import { rightsIn } from "./rights";
import { Settings } from "./settings";

/** The thread that every new hub has. */
const WELCOME = "welcome";
/** What makes a model answer there. */
const ANSWER = "tambour answer thread/welcome -- ollama run llama3.2";

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
      <Away chat={chat} hub={hub} />
      {id === WELCOME && <Hint chat={chat} />}
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
  useEffect(() => void (matchMedia("(max-width: 46rem)").matches && heading.current?.focus()), []);
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
      {thread && (
        <Settings
          hub={hub}
          thread={thread}
          manage={manage || thread.creator === identity.sub}
          open={open}
          close={() => setOpen(false)}
          changed={() => (found.reload(), changed())}
          gone={gone}
        />
      )}
    </>
  );
}

/** What one should know while the hub is away. */
function Away({ chat, hub }: { chat: Chat; hub: Hub }) {
  const offline = useOffline(hub);
  const { now, error } = chat.state.value;
  const count = waiting(chat.box.value);
  const away = now === "waiting" || offline;
  useUnsent(count > 0);
  const why = offline ? "This browser is offline." : error && error.status > 0 ? wordsOf(error) : "The hub is away. It is tried again.";
  const queued = count === 1 ? " 1 message waits and is sent by itself." : count > 1 ? ` ${count} messages wait and are sent by themselves.` : "";
  return (
    <p class="away" role="status">
      {away && why + queued}
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

/** A browser that goes offline says so long before a silent connection is noticed; so the connection is asked at once. */
function useOffline(hub: Hub): boolean {
  const [offline, set] = useState(!navigator.onLine);
  useEffect(() => {
    const look = () => {
      set(!navigator.onLine);
      hub.check();
    };
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, [hub]);
  return offline;
}

/** How to have a model here, where none has answered yet. */
function Hint({ chat }: { chat: Chat }) {
  const conversation = chat.conversation.value;
  const silent = useMemo(() => !answered(linesOf(conversation)), [conversation]);
  if (!silent || !chat.settled.value) return null;
  return (
    <p class="hint">
      No model answers here yet. Any program can: <code>{ANSWER}</code>
    </p>
  );
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
