// What is sought in the audit: as it stands in the page's address, in a form, and as the hub is asked.
// Rules alone.
export const OUTCOMES = ["done", "refused"] as const;
const NAMES = ["actor", "action", "resource", "outcome", "since", "until"] as const;
export type Filter = Partial<Record<(typeof NAMES)[number], string>>;

/** Reads it from the page's address; what is empty or unknown is nothing. */
export function filterOf(query: URLSearchParams): Filter {
  const filter: Filter = {};
  for (const name of NAMES) {
    const value = query.get(name)?.trim();
    if (value) filter[name] = value;
  }
  if (filter.outcome && !OUTCOMES.some((one) => one === filter.outcome)) delete filter.outcome;
  return filter;
}

/** The place from which older ones are shown. */
export function beforeOf(query: URLSearchParams): number | undefined {
  const before = Number(query.get("before"));
  return Number.isSafeInteger(before) && before > 0 ? before : undefined;
}

/** How the hub is asked: `?action=keys.*&limit=100`. */
export function queryOf(filter: Filter, more: Record<string, string | number | undefined> = {}): string {
  const given = Object.entries({ ...filter, ...more }).filter(([, value]) => value !== undefined && value !== "");
  return given.length > 0 ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

export function isFiltered(filter: Filter): boolean {
  return Object.keys(filter).length > 0;
}

/** What somebody kept elsewhere, `SEQ:HASH`; nothing where it is none. */
export function keptOf(text: string): { seq: number; hash: string } | undefined {
  const [, seq, hash] = /^\s*(\d{1,15}):([0-9a-fA-F]{64})\s*$/.exec(text) ?? [];
  return seq && hash && Number(seq) > 0 ? { seq: Number(seq), hash: hash.toLowerCase() } : undefined;
}

/** A file's name that says whose audit it is. */
export function fileName(tenant: string, env: string, format: string): string {
  return `audit-${tenant.replace(/[^\w-]/g, "_")}-${env}.${format}`;
}
