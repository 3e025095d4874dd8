// What a first visit can do in the thread that every new hub has: each hint goes when it was followed.
// It sends nothing.
import { useMemo } from "preact/hooks";
import { href } from "../route";
import type { Identity } from "../session";
import type { Chat } from "./chat";
import { answered, linesOf } from "./lines";

/** What makes a model answer there. */
const ANSWER = "tambour answer thread/welcome -- ollama run llama3.2";

export function Hints({ chat, identity }: { chat: Chat; identity: Identity }) {
  const conversation = chat.conversation.value;
  const lines = useMemo(() => linesOf(conversation), [conversation]);
  if (!chat.settled.value) return null;
  const people = new Set([identity.sub, ...lines.flatMap((line) => (line.kind === "said" && !line.program ? [line.who] : []))]);
  return (
    <>
      {people.size < 2 && (
        <p class="hint">
          Write something, and{" "}
          <a href={href("threads", chat.thread)} target="_blank" rel="noopener">
            open this thread in a second tab
          </a>
          {identity.token === undefined && ": there you are somebody else"}. What goes on is in the <a href={href("overview")}>Overview</a> and, event by event, in the <a href={href("feed")}>Feed</a>.
        </p>
      )}
      {!answered(lines) && (
        <p class="hint">
          No model answers here yet. Any program can: <code>{ANSWER}</code>
        </p>
      )}
    </>
  );
}
