// Who is connected, how, and how far behind; one session, or all of a person, can be ended. A page of the list is asked for
// again every few seconds, and rows keep their place, so that keys and eyes do.
import { HubError, type openapi } from "@tambour/client";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Empty, Field, Head, Standing, Table } from "../parts";
import { Confirm } from "../parts/dialog";
import { useResource } from "../parts/resource";
import { href, replace, route } from "../route";
import { hub, session as signedIn } from "../session";
import { Row } from "./row";
import { counted, isOwnOnly, type Session } from "./rules";
import "./style.css";

/** Sessions of a page. */
const PAGE = 100;
/** Milliseconds from one question to the next: two tabs of one person stay below half of the rate of an action. */
const EVERY_MS = 3_000;
/** Milliseconds behind the last key. */
const TYPED_MS = 400;

/** What somebody is asked about before it is done. */
type Ending = { one: Session } | { all: string };

export function Sessions() {
  return signedIn.value.state === "in" && <List me={signedIn.value.identity} />;
}

function List({ me }: { me: { sub: string; role?: string } }) {
  const person = route.value.query.get("person") ?? "";
  const [pages, setPages] = useState<string[]>([]);
  const [ending, setEnding] = useState<Ending>();
  const after = pages.at(-1);
  useEffect(() => setPages([]), [person]);
  const asked = useResource((signal) => ask(person, after, signal), [person, after], { every: EVERY_MS, stays: true });
  const { value: list, reload } = asked;
  const sessions = list?.sessions ?? [];
  const rows = useRef<HTMLDivElement>(null);
  const focused = useRef<EventTarget | null>(null);
  // What had the focus may have gone with its row; then the list has it, not nothing.
  useLayoutEffect(() => {
    const gone = focused.current instanceof Element && !focused.current.isConnected;
    if (gone && document.activeElement === document.body) rows.current?.focus({ preventScroll: true });
  }, [list]);
  return (
    <>
      <Head title="Sessions" says="Who is connected, and how far each is behind. Looked at again every few seconds." />
      <Whose person={person} count={list && sessions.length} more={list?.has_more ?? false} end={(all) => setEnding({ all })} />
      <Standing of={asked} />
      {list && !list.complete && (
        <p class="sessions-note" role="status">
          A part of the hub did not answer in time. Some sessions are missing here.
        </p>
      )}
      {list && isOwnOnly(sessions, me) && <p class="sessions-note">These are your own. To see those of others takes the permission sessions:read.</p>}
      <div ref={rows} tabIndex={-1} class="sessions" aria-label="Sessions" role="group" onFocusIn={(event) => (focused.current = event.target)}>
        {list && sessions.length === 0 ? <Empty>{after ? "Nobody is left on this page." : person ? `Nobody called ${person} is connected.` : "Nobody is connected. Who reads a thread or the feed is listed here."}</Empty> : null}
        {sessions.length > 0 && (
          <Table caption="Sessions" cards head={["Person", "Wire", "Since", "From", "Topics", { words: "Behind", number: true }, { words: "End", unseen: true }]}>
            {sessions.map((session) => (
              <Row key={session.connection_id} session={session} isMine={session.sub === me.sub} now={Date.now()} end={() => setEnding({ one: session })} />
            ))}
          </Table>
        )}
      </div>
      {(after || list?.has_more) && (
        <div class="acts">
          <button type="button" class="plain" aria-disabled={!after} onClick={() => after && setPages(pages.slice(0, -1))}>
            Before
          </button>
          <button type="button" class="plain" aria-disabled={!list?.has_more} onClick={() => list?.has_more && setPages([...pages, sessions.at(-1)!.connection_id])}>
            Next
          </button>
        </div>
      )}
      {ending && <Ended ending={ending} me={me.sub} close={() => setEnding(undefined)} done={reload} />}
    </>
  );
}

/** Whose sessions are shown, in the URL too; and where it is one person, the way to end all of theirs. */
function Whose({ person, count, more, end }: { person: string; count: number | undefined; more: boolean; end: (person: string) => void }) {
  const [typed, setTyped] = useState(person);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setTyped((before) => (before.trim() === person ? before : person)), [person]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const typing = (text: string) => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => show(text), TYPED_MS);
  };
  const now = (event: Event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    show(typed);
  };
  return (
    <form class="sessions-whose" role="search" aria-label="Filter sessions" onSubmit={now}>
      <Field label="Person">
        <input name="person" value={typed} placeholder="everybody" maxLength={256} autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => typing(event.currentTarget.value)} />
      </Field>
      <p>
        {count !== undefined && counted(count)}
        {more && ", and more"}
      </p>
      {person && (
        <button type="button" class="danger" disabled={!count} onClick={() => end(person)}>
          End all of <bdi>{person}</bdi>
        </button>
      )}
    </form>
  );
}

/** Asks before sessions are ended. */
function Ended({ ending, me, close, done }: { ending: Ending; me: string; close: () => void; done: () => void }) {
  const sub = "all" in ending ? ending.all : ending.one.sub;
  return (
    <Confirm
      title={"all" in ending ? `End all sessions of ${sub}?` : `End this session of ${sub}?`}
      does={"all" in ending ? "End all" : "End"}
      run={async () => (await end(ending), done())}
      close={close}
    >
      <p>
        {sub === me ? "It is your own. What reads here stops until you try again. " : ""}
        {"all" in ending ? "They are told so, and may come back: their tokens stay good." : "It is told so, and may come back: its token stays good."}
      </p>
    </Confirm>
  );
}

function ask(person: string, after: string | undefined, signal: AbortSignal): Promise<openapi.SessionList> {
  const query = new URLSearchParams({ limit: String(PAGE), ...(person && { principal: person }), ...(after && { after }) });
  return hub.value!.request("GET", `/v1/sessions?${query}`, { signal });
}

async function end(ending: Ending): Promise<void> {
  const path = "all" in ending ? `?${new URLSearchParams({ principal: ending.all })}` : `/${encodeURIComponent(ending.one.connection_id)}`;
  try {
    await hub.value!.request("DELETE", `/v1/sessions${path}`);
  } catch (error) {
    // It went by itself: that is what was wanted.
    if (!(error instanceof HubError && error.code === "session.unknown")) throw error;
  }
}

function show(person: string): void {
  const name = person.trim();
  replace(href("sessions", undefined, name ? { person: name } : undefined));
}
