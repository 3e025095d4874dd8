// What somebody began to write in a thread, through a change of view and a reload: in this tab's memory, for a few threads.
// It never leaves the tab, and nobody is shown what somebody else began.
import { session } from "../session";

const KEPT = "tambour.drafts";
/** Threads with a draft; the oldest goes first. */
export const DRAFTS_MAX = 20;

/** What was begun, by whom and where. */
type Drafts = Array<[place: string, text: string]>;

export const draftOf = (thread: string): string => read().find(([of]) => of === place(thread))?.[1] ?? "";

export function keepDraft(thread: string, text: string): void {
  // Whoever has just left leaves nothing.
  if (session.value.state !== "in") return;
  const here = place(thread);
  const others = read().filter(([of]) => of !== here);
  const drafts: Drafts = text === "" ? others : [...others, [here, text] as [string, string]].slice(-DRAFTS_MAX);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(drafts));
  } catch {
    // The tab may keep nothing; the box has it still.
  }
}

function place(thread: string): string {
  const now = session.value;
  return now.state === "in" ? `${now.identity.tenant} ${now.identity.env} ${now.identity.sub} ${thread}` : thread;
}

function read(): Drafts {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]") as Drafts;
  } catch {
    return [];
  }
}
