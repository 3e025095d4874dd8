// Providers that no work may name: those that are off, and a field for another.
// It never knows which providers there are: events say that, and anybody may name a new one.
import { useId, useState } from "preact/hooks";
import { type Item, ordered, providerItem, providerOf } from "./rules";
import { Switch } from "./switch";

export function Providers({ off, will, want }: { off: ReadonlySet<Item>; will: ReadonlySet<Item>; want(item: Item, off: boolean): void }) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const id = useId();
  const items = ordered(new Set([...off, ...will].filter((item) => item.startsWith("provider:"))));
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    if (text.trim() === "") return;
    const read = providerOf(text, will);
    setWrong("wrong" in read ? read.wrong : "");
    if ("wrong" in read) return;
    want(providerItem(read.name), true);
    setText("");
  };
  return (
    <>
      {items.map((item) => (
        <Switch key={item} item={item} words="Runs and tool calls with" name={item.slice("provider:".length)} off={off} will={will} want={want} />
      ))}
      <form class="off-provider" onSubmit={add}>
        <label for={id}>A provider to switch off</label>
        <div>
          <input id={id} value={text} autocomplete="off" spellcheck={false} aria-invalid={wrong !== ""} aria-describedby={`${id}-says`} placeholder="acme" onInput={(event) => (setText(event.currentTarget.value), setWrong(""))} />
          <button class="plain" aria-disabled={text.trim() === ""}>
            Add
          </button>
        </div>
        <small id={`${id}-says`} role={wrong ? "alert" : undefined} class={wrong ? "wrong" : undefined}>
          {wrong || "No run_start and no tool_call may name it then."}
        </small>
      </form>
    </>
  );
}
