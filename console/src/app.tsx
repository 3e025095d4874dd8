// The frame of the page: where one can go, whether the hub is there, who looks, and the view of the route.
import type { FunctionComponent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Audit } from "./control/audit";
import { Keys } from "./control/keys";
import { KillSwitch } from "./control/kill-switch";
import { SwitchedOff } from "./control/kill-switch/banner";
import { Feed } from "./feed";
import { Overview } from "./overview";
import { Field, Refused } from "./parts";
import { Dialog } from "./parts/dialog";
import { textOf, useRun } from "./parts/run";
import { carrier, offline, reach } from "./reach";
import { href, route, type View } from "./route";
import { type Identity, leave, rename, session } from "./session";
import { Sessions } from "./sessions";
import { SignIn } from "./sign-in";
import { Threads } from "./threads";

const SHOWN: Record<View, { title: string; of: FunctionComponent }> = {
  overview: { title: "Overview", of: Overview },
  threads: { title: "Threads", of: Threads },
  feed: { title: "Feed", of: Feed },
  sessions: { title: "Sessions", of: Sessions },
  keys: { title: "Keys", of: Keys },
  "kill-switch": { title: "Kill switch", of: KillSwitch },
  audit: { title: "Audit", of: Audit },
};

export function App() {
  const now = session.value;
  document.title = now.state === "asking" ? "Sign in · Tambour" : "Tambour";
  if (now.state === "starting") return <p class="starting">Connecting to the hub…</p>;
  if (now.state === "asking") return <SignIn why={now.why} before={now.before} />;
  const { view, id } = route.value;
  const { title, of: Shown } = SHOWN[view];
  // Tabs with two threads are told apart.
  document.title = [...(view === "threads" && id ? [id] : []), title, "Tambour"].join(" · ");
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Nav />
      <div class="page">
        <Bar identity={now.identity} />
        <SwitchedOff />
        <main id="main" tabIndex={-1}>
          {/* Another person sees everything anew. */}
          <Shown key={`${now.identity.tenant} ${now.identity.env} ${now.identity.sub}`} />
        </main>
      </div>
    </>
  );
}

/** The fragment is the route, so the link may not follow its own. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Nav() {
  const list = useRef<HTMLUListElement>(null);
  const { view } = route.value;
  // In a narrow window they are a row that scrolls.
  useEffect(() => list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [view]);
  return (
    <nav aria-label="Views">
      <p class="brand">
        <img src="/console/icon.svg" alt="" width="24" height="24" /> Tambour
      </p>
      <ul ref={list}>
        {Object.entries(SHOWN).map(([one, { title }]) => (
          <li key={one}>
            <a href={href(one as View)} aria-current={view === one ? "page" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const CARRIERS: Record<string, string> = { ws: "WebSocket", sse: "SSE", poll: "long polls" };

/** Whether the hub is there: the one place that says it, for all views. */
function standing(): string {
  if (reach.value === "connecting") return "connecting";
  if (reach.value === "away") return offline.value ? "This browser is offline." : "The hub is away. It is tried again.";
  return carrier.value ? `live over ${CARRIERS[carrier.value]}` : "live";
}

function Bar({ identity }: { identity: Identity }) {
  return (
    <div class="bar">
      <p id="state" role="status" data-state={reach.value}>
        {standing()}
      </p>
      <p class="where">
        <bdi>{identity.tenant}</bdi> · {identity.env}
      </p>
      <Who identity={identity} />
    </div>
  );
}

/** Who looks; where the hub signs in by itself, another name is one click away. */
function Who({ identity }: { identity: Identity }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="plain me" onClick={() => setOpen(true)} aria-haspopup="dialog">
        <span class="unseen">You are </span>
        <bdi>{identity.sub}</bdi>
        {identity.role && <small> {identity.role}</small>}
      </button>
      {open && <Whoever identity={identity} close={() => setOpen(false)} />}
    </>
  );
}

function Whoever({ identity, close }: { identity: Identity; close: () => void }) {
  const { busy, error, run } = useRun();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const name = textOf(new FormData(event.currentTarget as HTMLFormElement), "name");
    if (await run(() => rename(name))) close();
  };
  return (
    <Dialog title={`You are ${identity.sub}`} close={close}>
      {identity.token === undefined && (
        <form onSubmit={submit}>
          <Field label="Be somebody else" hint="This hub is for development on this machine, so it signs you in as whoever you say.">
            <input name="name" required maxLength={128} defaultValue={identity.sub} autocomplete="off" autocapitalize="none" spellcheck={false} dir="auto" />
          </Field>
          <Refused error={error} />
          <div class="acts">
            <button aria-busy={busy}>Use this name</button>
          </div>
        </form>
      )}
      <div class="acts ends">
        <button type="button" class="plain" onClick={close}>
          Close
        </button>
        <button type="button" class="plain" onClick={() => leave()}>
          Sign in with a token
        </button>
      </div>
    </Dialog>
  );
}
