// What a thread is, and what may be changed of it: its title, who may read it, its members, its end. It changes nothing that the
// hub has not confirmed.
import type { Hub, openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Field, Refused, Time } from "../parts";
import { Confirm, Dialog } from "../parts/dialog";
import { textOf, useRun } from "../parts/run";
import { pathOf } from "./chat";
import { nameOf } from "./listing";
import { Members } from "./members";
import { Seen, VISIBILITIES } from "./visibility";

interface Asked {
  hub: Hub;
  thread: openapi.Topic;
  manage: boolean;
  close: () => void;
  /** Something of it is other now. */
  changed: () => void;
  /** It is not there any more. */
  gone: () => void;
}

export function Settings({ hub, thread, manage, close, changed, gone }: Asked) {
  const [asks, ask] = useState<"close" | "delete">();
  const path = pathOf(thread.id);
  return (
    <>
      <Dialog title="About this thread" close={close} class="settings">
        <p class="about">
          <code>{thread.id}</code> made by <bdi>{thread.creator}</bdi>, <Time at={thread.created_at} />
        </p>
        {manage ? <About hub={hub} thread={thread} changed={changed} /> : <p>It is {VISIBILITIES[thread.visibility]}.</p>}
        <Members hub={hub} thread={thread} manage={manage} changed={changed} />
        <div class="acts ends">
          <button type="button" class="plain" onClick={close}>
            Done
          </button>
          {manage && !thread.closed && (
            <button type="button" class="danger" onClick={() => ask("close")}>
              Close the thread…
            </button>
          )}
          {manage && (
            <button type="button" class="danger" onClick={() => ask("delete")}>
              Delete the thread…
            </button>
          )}
        </div>
      </Dialog>
      {asks && (<Confirm
        title={`${asks === "close" ? "Close" : "Delete"} “${nameOf(thread)}”?`}
        does={asks === "close" ? "Close it" : "Delete it"}
        close={() => ask(undefined)}
        run={async () => {
          if (asks === "close") await hub.request("POST", `${path}/close`);
          else await hub.request("DELETE", path);
          close();
          if (asks === "close") changed();
          else gone();
        }}
      >
        <p>{asks === "close" ? "It can be read still, and nobody can write in it any more." : "Everything that was said in it is gone, for everybody."} This can’t be taken back.</p>
      </Confirm>)}
    </>
  );
}

function About({ hub, thread, changed }: Pick<Asked, "hub" | "thread" | "changed">) {
  const { busy, error, run } = useRun();
  const [saved, setSaved] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const body = { title: textOf(form, "title") || null, visibility: textOf(form, "visibility") };
    setSaved(false);
    if (!(await run(() => hub.request("PATCH", pathOf(thread.id), { body })))) return;
    setSaved(true);
    changed();
  };
  return (
    <form onSubmit={submit} onInput={() => setSaved(false)}>
      <Field label="Title">
        <input name="title" dir="auto" maxLength={256} autocomplete="off" defaultValue={thread.title ?? ""} />
      </Field>
      <Seen value={thread.visibility} />
      <Refused error={error} />
      <div class="acts">
        <button aria-busy={busy}>Save</button>
        <span role="status">{saved ? "Saved." : ""}</span>
      </div>
    </form>
  );
}
