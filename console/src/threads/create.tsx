// Makes a thread. It goes nowhere by itself: who asked for it is told the new thread's id.
import type { Hub, openapi } from "@tambour/client";
import { Field, Refused } from "../parts";
import { Dialog } from "../parts/dialog";
import { textOf, useRun } from "../parts/run";
import { Seen } from "./visibility";

interface Asked {
  hub: Hub;
  close: () => void;
  made: (id: string) => void;
}

export function Create({ hub, close, made }: Asked) {
  const { busy, error, run } = useRun();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const body = { id: textOf(form, "id") || undefined, title: textOf(form, "title") || undefined, visibility: textOf(form, "visibility") };
    await run(async () => {
      const { id } = await hub.request<openapi.Topic>("POST", "/v1/threads", { body });
      close();
      made(id);
    });
  };
  return (
    <Dialog title="New thread" close={close}>
      <form onSubmit={submit}>
        <Field label="Title">
          <input name="title" autocomplete="off" dir="auto" maxLength={256} autofocus />
        </Field>
        <Field label="Id" hint="Letters, digits and _ . : - ; made for you when it is empty. It can’t be changed later.">
          <input name="id" autocomplete="off" maxLength={128} pattern="[A-Za-z0-9_.:\-]+" />
        </Field>
        <Seen value="team" />
        <Refused error={error} />
        <div class="acts">
          <button type="button" class="plain" onClick={close}>
            Cancel
          </button>
          <button aria-busy={busy}>Create</button>
        </div>
      </form>
    </Dialog>
  );
}
