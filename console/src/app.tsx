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
import { asHubError } from "./parts/resource";
import { carrier, reach } from "./reach";
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
  if (now.state === "starting") return <p class="starting">Connecting to the hub…</p>;
  if (now.state === "asking") return <SignIn why={now.why} before={now.before} />;
  const { title, of: Shown } = SHOWN[route.value.view];
  document.title = `${title} · Tambour`;
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
  return (
    <nav aria-label="Views">
      <p class="brand">
        <img src="/console/icon.svg" alt="" width="24" height="24" /> Tambour
      </p>
      <ul>
        {Object.entries(SHOWN).map(([view, { title }]) => (
          <li>
            <a href={href(view as View)} aria-current={route.value.view === view ? "page" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const REACHED = { connecting: "connecting", live: "live", away: "the hub is away, trying again" };

function Bar({ identity }: { identity: Identity }) {
  const live = reach.value === "live" && carrier.value ? ` over ${{ ws: "WebSocket", sse: "SSE", poll: "long polls" }[carrier.value]}` : "";
  return (
    <div class="bar">
      <p id="state" role="status" data-state={reach.value}>
        {REACHED[reach.value]}
        {live}
      </p>
      <p class="where">
        {identity.tenant} · {identity.env}
      </p>
      <Who identity={identity} />
    </div>
  );
}

/** Who looks; where the hub signs in by itself, another name is one click away. */
function Who({ identity }: { identity: Identity }) {
  const [open, setOpen] = useState(false);
  const [failed, setFailed] = useState<unknown>();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget as HTMLFormElement).get("name")).trim();
    try {
      await rename(name);
      setOpen(false);
    } catch (error) {
      setFailed(error);
    }
  };
  return (
    <>
      <button type="button" class="plain who" onClick={() => setOpen(true)} aria-haspopup="dialog">
        <span class="unseen">You are </span>
        {identity.sub}
        {identity.role && <small> {identity.role}</small>}
      </button>
      <dialog ref={dialog} onClose={() => setOpen(false)} aria-labelledby="who-title">
        <h2 id="who-title">You are {identity.sub}</h2>
        {identity.token === undefined && (
          <form onSubmit={submit}>
            <Field label="Another name" hint="This hub is for development on this machine, so it signs you in as whoever you say.">
              <input name="name" required maxLength={128} defaultValue={identity.sub} autocomplete="off" />
            </Field>
            <Refused error={failed === undefined ? undefined : asHubError(failed)} />
            <div class="acts">
              <button>Use it</button>
            </div>
          </form>
        )}
        <div class="acts">
          <button type="button" class="plain" onClick={() => setOpen(false)}>
            Close
          </button>
          <button type="button" class="plain" onClick={() => leave()}>
            Sign in with a token
          </button>
        </div>
      </dialog>
    </>
  );
}
