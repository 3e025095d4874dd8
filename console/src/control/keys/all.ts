// All service keys of a tenant and env, the newest first: the hub lists them in pages, the oldest first.
// It keeps nothing between two lookings.
import type { Hub, openapi } from "@tambour/client";

const PAGE = 500;
/** So many there can be; a hub that has more is not asked for them. */
const KEYS_MAX = 10_000;

export async function allKeys(hub: Hub, signal: AbortSignal): Promise<openapi.Key[]> {
  const all: openapi.Key[] = [];
  for (let after = ""; all.length < KEYS_MAX; ) {
    const query = new URLSearchParams({ limit: String(PAGE), ...(after && { after }) });
    const page = await hub.request<openapi.KeyList>("GET", `/v1/keys?${query}`, { signal });
    all.push(...page.keys);
    after = page.keys.at(-1)?.id ?? "";
    if (!page.has_more || !after) break;
  }
  return all.reverse();
}
