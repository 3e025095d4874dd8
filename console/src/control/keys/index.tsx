// Service keys: those there are, a new one, another token for one, and the end of one; and what is said of people.
// A token is in this page only while its dialog is open.
import type { openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Empty, Field, Head, Standing, Time } from "../../parts";
import { Confirm } from "../../parts/dialog";
import { useDone } from "../../parts/done";
import { useResource } from "../../parts/resource";
import { hub, session } from "../../session";
import { allKeys } from "./all";
import { Make } from "./make";
import { People } from "./people";
import { matching } from "./rules";
import { KeyTable } from "./table";
import { TokenShown } from "./token";
import "./style.css";

export type Doing = { what: "make" } | { what: "rotate" | "revoke"; key: openapi.Key } | { what: "show"; made: openapi.KeyWithToken };

export function Keys() {
  const asked = hub.value!;
  const keys = useResource((signal) => allKeys(asked, signal), [asked]);
  const [doing, setDoing] = useState<Doing>();
  const done = useDone();
  // What was done may have opened the next one already.
  const close = (what: Doing["what"]) => () => setDoing((now) => (now?.what === what ? undefined : now));
  const made = (key: openapi.KeyWithToken) => {
    setDoing({ what: "show", made: key });
    keys.reload();
  };
  return (
    <>
      <Head title="Keys" says="Service keys are for programs: they publish, read pages and administer, in this tenant and env.">
        <button type="button" class="plain" onClick={keys.reload} aria-busy={keys.loading}>
          Reload
        </button>
        <button type="button" onClick={() => setDoing({ what: "make" })} aria-haspopup="dialog">
          Make a key…
        </button>
      </Head>
      {done.line}
      <Standing of={keys} />
      {keys.value && <Listed keys={keys.value} act={setDoing} />}
      <People />
      <Asked doing={doing} made={made} close={close} revoked={(key) => (keys.reload(), done.say(`${key.name} is revoked. Nothing that was made with it is good any more.`))} />
      {doing?.what === "make" && <Make hub={asked} own={ownRole()} made={made} close={close("make")} />}
      {doing?.what === "show" && <TokenShown made={doing.made} close={close("show")} />}
    </>
  );
}

function ownRole(): string | undefined {
  return session.value.state === "in" ? session.value.identity.role : undefined;
}

/** More than a few have a field to find one by. */
const FIND_FROM = 8;

function Listed({ keys, act }: { keys: openapi.Key[]; act(doing: Doing): void }) {
  const [text, setText] = useState("");
  if (keys.length === 0) return <Empty>There is no key yet. A program that publishes or administers needs one.</Empty>;
  const shown = matching(keys, text);
  return (
    <>
      {keys.length >= FIND_FROM && (
        <div class="row keys-find">
          <Field label={`Find one of ${keys.length} by name, id or maker`}>
            <input type="search" value={text} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
          </Field>
        </div>
      )}
      {shown.length === 0 ? <Empty>No key has “{text.trim()}” in it.</Empty> : <KeyTable keys={shown} act={act} />}
    </>
  );
}

interface AskedProps {
  doing: Doing | undefined;
  made(key: openapi.KeyWithToken): void;
  revoked(key: openapi.Key): void;
  close(what: Doing["what"]): () => void;
}

/** Asks before a key gets another token, and before it ends. */
function Asked({ doing, made, revoked, close }: AskedProps) {
  const asked = hub.value!;
  if (doing?.what !== "rotate" && doing?.what !== "revoke") return null;
  const { key, what } = doing;
  const path = `/v1/keys/${encodeURIComponent(key.id)}`;
  const rotate = async () => made(await asked.request<openapi.KeyWithToken>("POST", `${path}/rotate`));
  const revoke = async () => {
    await asked.request("DELETE", path);
    revoked(key);
  };
  if (what === "revoke") {
    return (
      <Confirm title={`Revoke ${key.name}?`} does="Revoke" run={revoke} close={close("revoke")}>
        <p>At once none of its tokens is good, nor stream tokens that were made with one; the streams that they opened end within a second. It can’t be taken back.</p>
        <p>
          <code>{key.id}</code>
        </p>
      </Confirm>
    );
  }
  return (
    <Confirm title={`Rotate ${key.name}?`} does="Rotate" run={rotate} close={close("rotate")}>
      <p>The key gets another token. The one that it has stays good for a while, an hour where nothing else is configured; so do stream tokens that were made with it, and their streams.</p>
      {key.token_before_until && Date.parse(key.token_before_until) > Date.now() && (
        <p>
          It was rotated a moment ago. The token from before that is good until <Time at={key.token_before_until} />, and <strong>ends at once</strong> with this.
        </p>
      )}
    </Confirm>
  );
}
