// What is told in one number, without a plot.
import { Fact, Time } from "../parts";
import { exact, words } from "./figures";
import type { Answer, Part } from "./samples";

export function Facts({ answer, part }: { answer: Answer; part: Part }) {
  const of = answer[part]!;
  return (
    <dl class="facts strip">
      <Fact name="Hub up since">
        <Time at={answer.started_at} />
      </Fact>
      <Fact name="Readers">{words(of.readers, exact)}</Fact>
      <Fact name="Events since then">{words(of.events_total, exact)}</Fact>
      <Fact name="Deliveries since then">{words(of.deliveries_total, exact)}</Fact>
      {part === "hub" && <Fact name="Writes that wait">{words(answer.hub!.write_queue, exact)}</Fact>}
      {part === "hub" && <Fact name="Store">{answer.hub!.store_full ? <span class="chip bad">full</span> : <span class="chip good">has room</span>}</Fact>}
    </dl>
  );
}
