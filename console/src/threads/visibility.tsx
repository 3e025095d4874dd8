// Who may read a thread: the choice, in words. It decides nothing.
import { Field } from "../parts";

export const VISIBILITIES = { team: "the team: everybody of the tenant", private: "its members alone", public: "everybody of the tenant, public" } as const;
export type Visibility = keyof typeof VISIBILITIES;

export function Seen({ value }: { value: Visibility }) {
  return (
    <Field label="Who may read it">
      <select name="visibility" defaultValue={value}>
        {Object.entries(VISIBILITIES).map(([visibility, words]) => (
          <option value={visibility} selected={visibility === value}>
            {words}
          </option>
        ))}
      </select>
    </Field>
  );
}
