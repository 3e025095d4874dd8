// Who may read a thread: the choice, in words. It decides nothing.
import { Field } from "../parts";

export const VISIBILITIES = {
  team: "team: everybody who reads threads in this tenant",
  private: "private: its members, owners and admins",
  public: "public: everybody in this tenant",
} as const;
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
