// Two states of something, side by side: which members came, went and changed.
// It shows nothing, and changes neither.

export interface Difference {
  /** `members.bob.can`. */
  path: string;
  kind: "added" | "removed" | "changed" | "same";
  before?: string;
  after?: string;
}

const ROWS_MAX = 200;
const DEPTH_MAX = 6;

/** The differences, those first; `more` is how many members are not shown. */
export function diff(before: unknown, after: unknown): { rows: Difference[]; more: number } {
  const was = flat(before);
  const is = flat(after);
  const rows = [...new Set([...was.keys(), ...is.keys()])].map((path) => compare(path, was.get(path), is.get(path)));
  // Members keep the order in which the hub says them, but what is the same is behind.
  rows.sort((one, other) => Number(one.kind === "same") - Number(other.kind === "same"));
  return { rows: rows.slice(0, ROWS_MAX), more: Math.max(0, rows.length - ROWS_MAX) };
}

function compare(path: string, before: string | undefined, after: string | undefined): Difference {
  const kind = before === undefined ? "added" : after === undefined ? "removed" : before === after ? "same" : "changed";
  return { path, kind, before, after };
}

/** Members by their path; an empty object or a list is one value. */
function flat(value: unknown, path = "", depth = 0, into = new Map<string, string>()): Map<string, string> {
  if (value === undefined) return into;
  const inner = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  if (inner.length === 0 || depth >= DEPTH_MAX) into.set(path, text(value));
  else for (const [name, member] of inner) flat(member, path ? `${path}.${name}` : name, depth + 1, into);
  return into;
}

/** A value as it is read: a text as itself, nothing as a dash, a list by its members. */
function text(value: unknown): string {
  if (value === null) return "–";
  if (typeof value === "string") return value === "" ? "“”" : value;
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string")) return value.join(", ");
  return JSON.stringify(value);
}
