// The kill switch: what is off, what somebody wants off or on, and a look at all of it before it is in force. What is wanted
// is kept as changes, so that it goes together with what somebody else does meanwhile.
import type { openapi } from "@tambour/client";
import { useState } from "preact/hooks";
import { Empty, Field, Head, Standing, Time } from "../../parts";
import { useDone } from "../../parts/done";
import { hub } from "../../session";
import { found, groups } from "./actions";
import { ask, switches, unknown } from "./now";
import { Providers } from "./providers";
import { Items, Review } from "./review";
import { actionItem, AGENTS, applied, type Item, offOf, ordered, pending, type Wanted } from "./rules";
import { ActionSwitch, Switch } from "./switch";
import "./style.css";

const SAYS = "What is switched off is refused to everybody in this tenant and env, owners too, and what is live of it ends within a second.";

export function KillSwitch() {
  const now = switches.value;
  return (
    <>
      <Head title="Kill switch" says={SAYS} />
      <Standing of={{ value: now, error: unknown.value, reload: () => void ask(hub.value!).catch(() => {}) }} />
      {now && <Switches now={now} />}
    </>
  );
}

function Switches({ now }: { now: openapi.KillSwitch }) {
  const [all, setAll] = useState<Wanted>(new Map());
  const [review, setReview] = useState<openapi.KillSwitch>();
  const done = useDone();
  const off = offOf(now);
  const wanted = pending(off, all);
  const will = applied(off, wanted);
  const want = (item: Item, to: boolean) => setAll(new Map([...wanted, [item, to]]));
  return (
    <>
      {done.line}
      <Now now={now} />
      <section class="card off-card" aria-labelledby="off-agents">
        <h2 id="off-agents">Agents and providers</h2>
        <Switch item={AGENTS} words="Agents may do more than read" off={off} will={will} want={want} />
        <Providers off={off} will={will} want={want} />
      </section>
      <Actions off={off} will={will} want={want} />
      {wanted.size > 0 && (
        <div class="off-pending" role="group" aria-label="Changes that are not in force">
          <p role="status">
            {wanted.size === 1 ? "1 change is" : `${wanted.size} changes are`} not in force yet
          </p>
          <button type="button" class="plain" onClick={() => (setAll(new Map()), done.say("The changes are discarded."))}>
            Discard
          </button>
          <button type="button" onClick={() => setReview(now)}>
            Review…
          </button>
        </div>
      )}
      {review && (
        <Review
          hub={hub.value!}
          at={review}
          wanted={all}
          moved={setReview}
          done={() => (setAll(new Map()), done.say("It is in force."))}
          close={() => setReview(undefined)}
        />
      )}
    </>
  );
}

/** What is off now, and who said so. */
function Now({ now }: { now: openapi.KillSwitch }) {
  const items = ordered(offOf(now));
  return (
    <section class="card off-now" data-off={items.length > 0} aria-labelledby="off-now">
      <h2 id="off-now">{items.length > 0 ? "Off now" : "Everything is on"}</h2>
      <Items title="Refused to everybody" items={items} kind="bad" />
      {now.reason && (
        <p>
          Reason: <q dir="auto">{now.reason}</q>
        </p>
      )}
      <p class="faint">
        {now.changed_at ? (
          <>
            Changed last by <bdi>{now.changed_by}</bdi>, <Time at={now.changed_at} />. <a href="#/audit?action=kill_switches.*">All changes</a>
          </>
        ) : (
          "Nothing was ever switched off here."
        )}
      </p>
    </section>
  );
}

type Shown = { off: ReadonlySet<Item>; will: ReadonlySet<Item>; want(item: Item, off: boolean): void };

function Actions(shown: Shown) {
  const [text, setText] = useState("");
  const names = [...shown.off, ...shown.will].filter((item) => item.startsWith("action:")).map((item) => item.slice("action:".length));
  const list = found(groups(names), text);
  return (
    <section class="off-actions" aria-labelledby="off-actions">
      <div class="row">
        <h2 id="off-actions">Actions</h2>
        <Field label="Search">
          <input type="search" value={text} placeholder="publish, threads.*, members" autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
        </Field>
      </div>
      {text.trim() === "" && (
        <div class="card off-all">
          <Switch item={actionItem("*")} words="Everything but health, the audit and this switch" name="*" family {...shown} />
        </div>
      )}
      {list.length === 0 && <Empty>No action is called so.</Empty>}
      <div class="off-groups">
        {list.map((group) => (
          <fieldset key={group.name} class="card">
            <legend>{group.title}</legend>
            {group.lines.map((line) => (
              <ActionSwitch key={line.name} {...line} {...shown} />
            ))}
          </fieldset>
        ))}
      </div>
    </section>
  );
}
