// What a list of sessions means: how far each is behind, whose it is, and how long it has been there. Rules alone: nothing
// here asks a hub or knows a clock.
import type { openapi } from "@tambour/client";

export type Session = openapi.Session;
export type Reading = openapi.Reading;

/** Topics of a session that are shown at once; the rest is folded away. */
export const TOPICS_SHOWN = 3;
/** Roles that may see everybody’s sessions. */
const SEEING: readonly string[] = ["owner", "admin"];

/** How many events a session is behind: that of its topic that is most behind. */
export const lagOf = ({ topics }: Pick<Session, "topics">): number => topics.reduce((most, { lag }) => Math.max(most, lag), 0);

/** Its topics, those that are behind first, else as they are. */
export const byLag = (topics: readonly Reading[]): Reading[] => [...topics].sort((one, other) => other.lag - one.lag);

/** What is shown at once, and the rest. */
export function folded(topics: readonly Reading[]): [shown: Reading[], rest: Reading[]] {
  const sorted = byLag(topics);
  // One more is no longer than a line that says so.
  const at = sorted.length <= TOPICS_SHOWN + 1 ? sorted.length : TOPICS_SHOWN;
  return [sorted.slice(0, at), sorted.slice(at)];
}

/**
 * Whether who looks may not see the sessions of others, as far as it can be known: nobody else’s is there, and neither the
 * role that the hub gave nor that of the own sessions sees more.
 */
export function isOwnOnly(sessions: readonly Session[], me: { sub: string; role?: string }): boolean {
  if (sessions.some(({ sub }) => sub !== me.sub)) return false;
  const roles = me.role === undefined ? sessions.map(({ role }) => role) : [me.role];
  return roles.length > 0 && !roles.some((role) => SEEING.includes(role));
}

/** How long, in one unit. */
export function lasting(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1_000));
  if (Number.isNaN(seconds)) return "";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** “1 session”, “2 sessions”. */
export const counted = (count: number): string => `${count.toLocaleString()} ${count === 1 ? "session" : "sessions"}`;
