// What keys and people are made of, in words, and what is typed read as what the hub takes.
// It never asks the hub.
import type { openapi } from "@tambour/client";

export const ROLES: readonly openapi.Role[] = ["viewer", "member", "admin", "owner"];

/** What a permission is for; the list is complete or this does not compile. */
export const PERMISSIONS: Record<openapi.Permission, string> = {
  "threads:read": "read threads of the team",
  "threads:write": "write to threads of the team and public ones",
  "canvases:read": "read canvases of the team",
  "canvases:write": "write to canvases of the team and public ones",
  "feed:read": "read the feed",
  "stats:read": "see live numbers",
  "audit:read": "read, verify and export the audit",
  "sessions:read": "see who is connected",
  "sessions:write": "end sessions of others",
  "keys:write": "make, rotate and revoke keys",
  "principals:write": "suspend people and revoke tokens",
  "kill_switches:write": "use the kill switch",
  "principals:act": "say for whom it acts",
  "principals:sign_in": "sign people in, with stream tokens",
};

/** Nobody gives a higher role than their own; where that is not known, the hub says it. */
export function rolesUpTo(own: string | undefined): readonly openapi.Role[] {
  const at = ROLES.indexOf(own as openapi.Role);
  return at < 0 ? ROLES : ROLES.slice(0, at + 1);
}

/** When a key ends: days from now, as the hub takes it; nothing is never. */
export function inDays(days: string, now: number): string | undefined {
  const count = Number(days);
  return days !== "" && Number.isFinite(count) && count > 0 ? new Date(now + count * 86_400_000).toISOString() : undefined;
}

/** How a key stands at a moment. */
export function standing(key: openapi.Key, now: number): { expired: boolean; before?: string } {
  const expired = key.expires_at !== undefined && Date.parse(key.expires_at) <= now;
  const before = key.token_before_until !== undefined && Date.parse(key.token_before_until) > now ? key.token_before_until : undefined;
  return { expired, before };
}

/** Those whose name, id or maker has the text. */
export function matching(keys: readonly openapi.Key[], text: string): openapi.Key[] {
  const sought = text.trim().toLowerCase();
  return keys.filter(({ name, id, created_by }) => [name, id, created_by].some((said) => said.toLowerCase().includes(sought)));
}

/** A line that tries a token in a shell: it publishes where the role may, else it reads. */
export function curlOf(origin: string, token: string, role: openapi.Role): string {
  const url = quoted(`${origin}/v1/threads/welcome/events`);
  const head = `curl -sS -H ${quoted(`Authorization: Bearer ${token}`)}`;
  if (role === "viewer") return `${head} ${url}`;
  const body = JSON.stringify({ type: "chat_message", data: { text: "hello" } });
  return `${head} -H 'Content-Type: application/json' -d ${quoted(body)} ${url}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
