// Who looks: signed in by the hub itself (development, on this machine), or by a token that somebody gave. It has the one
// hub object of the page. A token is in this tab's memory and its session storage, and nowhere else.
import { Hub } from "@tambour/client";
import { computed, signal } from "@preact/signals";
import { strange } from "./reach";
import { parse, route } from "./route";

/** Who looks, and where. */
export interface Identity {
  sub: string;
  tenant: string;
  env: "dev" | "staging" | "prod";
  /** Known where the hub signed us in. */
  role?: string;
  /** Given by somebody; absent where the hub signs us in by itself. */
  token?: string;
}

export type Session =
  | { state: "starting" }
  | { state: "asking"; why: string; before?: Partial<Identity> }
  | { state: "in"; identity: Identity; hub: Hub };

export const session = signal<Session>({ state: "starting" });
/** The hub object of who is signed in; views are shown only then. */
export const hub = computed(() => (session.value.state === "in" ? session.value.hub : undefined));

const KEPT = "tambour.identity";
const NAMES = ["ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana"];

interface SignedIn {
  token: string;
  tenant_id: string;
  env: Identity["env"];
  sub: string;
  role: string;
}

/** Signs in: with what the URL brings, what this tab knew before, or by the hub itself; else somebody has to give a token. */
export async function start(): Promise<void> {
  const given = fromFragment() ?? kept();
  if (given?.token) return enter(given);
  try {
    const own = await ask(given?.sub ?? nextName());
    if (own) return enter({ sub: own.sub, tenant: own.tenant_id, env: own.env, role: own.role }, own.token);
    session.value = { state: "asking", why: "" };
  } catch {
    session.value = { state: "asking", why: "The hub does not answer. Is it running?" };
  }
}

/** The hub signs this tab in under another name. */
export async function rename(sub: string): Promise<void> {
  const own = await ask(sub);
  if (own) enter({ sub: own.sub, tenant: own.tenant_id, env: own.env, role: own.role }, own.token);
}

/** Signs in with what somebody gave. */
export function enter(identity: Identity, first?: string): void {
  if (session.value.state === "in") session.value.hub.close();
  sessionStorage.setItem(KEPT, JSON.stringify(identity));
  const token = identity.token ?? provider(identity.sub, first);
  session.value = { state: "in", identity, hub: new Hub({ url: location.origin, tenant: identity.tenant, env: identity.env, token }) };
}

/** A file of the hub, its bytes as they are, asked for as who is signed in. */
export async function file(path: string): Promise<Blob> {
  if (session.value.state !== "in") throw new Error("nobody is signed in");
  const { sub, tenant, env, token } = session.value.identity;
  let bytes = new Blob();
  // The hub object reads JSON alone; it is given nothing to read, and keeps its rules for tokens and refusals.
  const take: typeof fetch = async (...asked) => {
    const answer = await fetch(...asked);
    if (!answer.ok) return answer;
    bytes = await answer.blob();
    return new Response(null, { status: 204 });
  };
  const asking = new Hub({ url: location.origin, tenant, env, token: token ?? provider(sub, undefined), fetch: take, storage: false, page: false });
  try {
    await asking.request("GET", path, { timeoutMs: 0 });
    return bytes;
  } finally {
    asking.close();
  }
}

/** Forgets who it was, and asks. */
export function leave(why = ""): void {
  const before = session.value.state === "in" ? session.value.identity : undefined;
  if (session.value.state === "in") session.value.hub.close();
  sessionStorage.removeItem(KEPT);
  session.value = { state: "asking", why, before };
}

// Whoever the hub does not know is asked again who they are; where they were stays in the address.
strange.subscribe((error) => {
  if (error && session.peek().state === "in") leave(`The hub does not take this token: ${error.detail || error.code}.`);
});

/** Who a JWT is about, as it says itself: to be shown, never to be believed. */
export function subjectOf(token: string): string {
  try {
    const claims = token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
    const { sub } = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (c) => c.charCodeAt(0))));
    return typeof sub === "string" ? sub : "somebody";
  } catch {
    return "somebody";
  }
}

/** The token that came with signing in, and a new one whenever the client asks again. */
function provider(sub: string, first: string | undefined): () => Promise<string> {
  return async () => {
    const now = first ?? (await ask(sub))?.token;
    first = undefined;
    if (now === undefined) leave("The hub signs nobody in any more.");
    return now ?? Promise.reject(new Error("the hub signs nobody in"));
  };
}

/** Asks the hub to sign us in; nothing where it leaves that to somebody else. */
async function ask(sub: string): Promise<SignedIn | undefined> {
  const answer = await fetch("/console/sign-in", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ sub }) });
  if (!answer.ok) throw new Error(`the hub says ${answer.status}`);
  return answer.status === 204 ? undefined : ((await answer.json()) as SignedIn);
}

/** A link that is opened where the page is open already. */
export function followed(): void {
  const given = fromFragment();
  if (given) enter(given);
}

/** A URL may bring a token behind its `#`; it is taken out of the address at once. A browser's history may have seen it. */
function fromFragment(): Identity | undefined {
  const { query } = parse(location.hash);
  const token = query.get("token");
  if (!token) return undefined;
  history.replaceState(null, "", location.hash.split("?")[0]);
  route.value = parse(location.hash);
  const env = query.get("env") as Identity["env"] | null;
  return { token, tenant: query.get("tenant") ?? "", env: env ?? "dev", sub: subjectOf(token) };
}

function kept(): Identity | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Each new tab is somebody else, so that two of them can talk. */
function nextName(): string {
  const key = "tambour.names";
  const used = Number(localStorage.getItem(key) ?? 0) || 0;
  localStorage.setItem(key, String(used + 1));
  return NAMES[used % NAMES.length]!;
}
