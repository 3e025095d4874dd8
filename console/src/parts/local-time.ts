// Times as people type them, where they are, and as the hub takes them, in UTC.
// It never guesses: what is no time is nothing.

/** What `datetime-local` gives, as the hub takes it. */
export function isoOf(local: string): string | undefined {
  const at = local ? new Date(local) : undefined;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

/** A time of the hub, as `datetime-local` takes it, to the second. */
export function localOf(iso: string | undefined): string {
  const at = new Date(iso ?? "");
  if (Number.isNaN(at.getTime())) return "";
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
