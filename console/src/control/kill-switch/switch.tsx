// One switch: on is as usual, off is refused to everybody. What a family has off can't be switched by itself.
import { actionItem, coveredBy, type Item } from "./rules";

interface SwitchProps {
  item: Item;
  words: string;
  name?: string;
  family?: boolean;
  /** What is off now, and what will be. */
  off: ReadonlySet<Item>;
  will: ReadonlySet<Item>;
  want(item: Item, off: boolean): void;
}

export function Switch({ item, words, name, family, off, will, want }: SwitchProps) {
  const by = coveredBy(item, will);
  const isOff = will.has(item) || by !== undefined;
  const changed = will.has(item) !== off.has(item);
  return (
    <label class="switch" title={by && `Off by ${by}`} data-off={isOff} data-family={family}>
      {/* Who has an action off by its name and by its family can still take the name back. */}
      <input
        type="checkbox"
        role="switch"
        checked={!isOff}
        disabled={by !== undefined && !will.has(item)}
        onChange={(event) => {
          want(item, !will.has(item));
          // The family still has it off, whatever was clicked.
          if (by !== undefined) event.currentTarget.checked = false;
        }}
      />
      <span class="switch-words">
        {words} {name && <code>{name}</code>}
      </span>
      {changed && <span class="chip changed">{will.has(item) ? "will go off" : by ? `stays off by ${by}` : "will come on"}</span>}
      {/* Its family is above it, so who sees both needs no more words. */}
      {!changed && by && <span class="unseen">off by {by}</span>}
    </label>
  );
}

/** The switch of an action or a family. */
export function ActionSwitch({ name, ...rest }: Omit<SwitchProps, "item"> & { name: string }) {
  return <Switch item={actionItem(name)} name={name} {...rest} />;
}
