// What somebody began to write in a thread, through a change of view and a reload: in this tab's memory, for a few threads.
// It never leaves the tab.

const KEPT = "tambour.drafts";
/** Threads with a draft; the oldest goes first. */
export const DRAFTS_MAX = 20;

type Drafts = Array<[thread: string, text: string]>;

export const draftOf = (thread: string): string => read().find(([of]) => of === thread)?.[1] ?? "";

export function keepDraft(thread: string, text: string): void {
  const others = read().filter(([of]) => of !== thread);
  const drafts: Drafts = text === "" ? others : [...others, [thread, text] as [string, string]].slice(-DRAFTS_MAX);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(drafts));
  } catch {
    // The tab may keep nothing; the box has it still.
  }
}

function read(): Drafts {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]") as Drafts;
  } catch {
    return [];
  }
}
