// Overview: the hub alive, as plots of its last five minutes, for who may see it.
// It never asks while nobody can see the page.
import type { Hub } from "@tambour/client";
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Head, Standing } from "../parts";
import { useFocusBack } from "../parts/focus";
import { go, href, route } from "../route";
import { hub } from "../session";
import { Denied } from "./denied";
import { Facts } from "./facts";
import { Plot } from "./plot";
import { plotsOf } from "./plots";
import type { Answer, Part } from "./samples";
import "./style.css";
import { follow, watchOf } from "./watch";

const SAYS = "What goes on now, and in the last five minutes.";

export function Overview() {
  return hub.value ? <Live hub={hub.value} /> : <Head title="Overview" says={SAYS} />;
}

function Live({ hub }: { hub: Hub }) {
  const watch = watchOf(hub);
  const [turn, next] = useState(0);
  const again = () => next((count) => count + 1);
  const pointed = useSignal<number | undefined>(undefined);
  useEffect(() => follow(watch), [watch, turn]);
  const history = watch.history.value;
  const error = watch.error.value;
  const { last } = history;
  const part: Part = last?.hub && route.value.query.get("of") !== "scope" ? "hub" : "scope";
  if (error?.code === "permission.denied") {
    return (
      <>
        <Head title="Overview" says={SAYS} />
        <Denied hub={hub} again={again} />
      </>
    );
  }
  return (
    <>
      <Head title="Overview" says={SAYS}>
        {last?.hub && <Toggle part={part} />}
      </Head>
      <Standing of={{ value: last, error, reload: again }} />
      {last && <Warnings last={last} away={error !== undefined} />}
      {last && <Facts answer={last} part={part} />}
      {last && (
        <div class={error ? "plots stale" : "plots"}>
          {plotsOf(part).map((plot) => (
            <Plot key={plot.title} plot={plot} history={history} part={part} pointed={pointed} note={noteOf(plot.title, last, part)} />
          ))}
        </div>
      )}
    </>
  );
}

/** Lag is counted by asking all who write to readers; who was late is not in it. */
function noteOf(title: string, last: Answer, part: Part): string | undefined {
  return title === "Lag" && !last[part]!.complete ? "Not all of the hub answered in time: it may be more." : undefined;
}

/** Of whom the numbers are; in the address, so that it can be linked and goes back. */
function Toggle({ part }: { part: Part }) {
  const choose = (of: Part) => () => go(href("overview", undefined, of === "scope" ? { of } : undefined));
  return (
    <fieldset class="toggle">
      <legend class="unseen">Numbers of</legend>
      <label>
        <input type="radio" name="of" checked={part === "hub"} onChange={choose("hub")} />
        <span>Whole hub</span>
      </label>
      <label>
        <input type="radio" name="of" checked={part === "scope"} onChange={choose("scope")} />
        <span>This tenant and env</span>
      </label>
    </fieldset>
  );
}

/** What has to be known, and what to do where nothing goes on. */
function Warnings({ last, away }: { last: Answer; away: boolean }) {
  return (
    <>
      {last.hub?.store_full && (
        <p class="refused" role="alert">
          The store is full: nothing can be written until the hub has room on its disk. Readers go on.
        </p>
      )}
      {away && <p class="late">These are the last numbers; they go on when the hub answers again.</p>}
      {last.scope.deliveries_total === 0 && !away && <Invite />}
    </>
  );
}

function Invite() {
  const around = useFocusBack<HTMLParagraphElement>();
  return (
    <p class="card invite" ref={around}>
      Nobody reads anything here yet.{" "}
      <a href={href("threads", "welcome")} target="_blank" rel="noopener">
        Open the thread <b>welcome</b> in a second tab
      </a>
      , write something, and see these plots move.
    </p>
  );
}
