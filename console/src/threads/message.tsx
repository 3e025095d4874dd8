// One line of a conversation: what somebody said, what else happened, a day, a hole. What comes from the hub is text.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Json, Refused } from "../parts";
import { useRun } from "../parts/run";
import type { Chat } from "./chat";
import { endWords, type Line, type Note, type Said } from "./lines";
import type { Outgoing } from "./outgoing";
import { hueOf, initialsOf } from "./person";

/** A longer text is shown in part until it is asked for, in characters; and one that is still here. */
const SHOWN_MAX = 20_000;
const OUTGOING_MAX = 1_000;

export interface Around {
  chat: Chat;
  me: string;
  /** Whether one may write here: then a model can be stopped. */
  write: boolean;
}

export function LineView({ line, around }: { line: Line; around: Around }) {
  if (line.kind === "said") return <SaidView line={line} around={around} />;
  if (line.kind === "note") return <NoteView note={line} />;
  if (line.kind === "day") return <p class="day">{dayOf(line.at)}</p>;
  return <p class="hole">{HOLES[line.reason] ?? HOLES.unknown}</p>;
}

const HOLES: Record<string, string> = {
  trimmed: "Some of what was said here is not kept any more.",
  reset: "The thread was made anew or restored. What was shown before is not part of it.",
  unknown: "The hub does not know where this page was; everything that is kept follows.",
};

function SaidView({ line, around }: { line: Said; around: Around }) {
  const { who, forWhom, program, more, answer } = line;
  const growing = answer === "growing";
  return (
    <article class="said" data-more={more || undefined} data-mine={who === around.me || undefined} aria-busy={growing || undefined} aria-live={growing ? "off" : undefined}>
      {more ? <span class="side" aria-hidden="true" /> : <Face name={who} program={program} />}
      <div class="body">
        <p class={more ? "unseen" : "by"}>
          <bdi class="who" style={{ "--hue": hueOf(who) }}>
            {who}
          </bdi>
          {forWhom !== undefined && (
            <span class="about">
              {" "}
              for <bdi>{forWhom}</bdi>
            </span>
          )}{" "}
          {program && <span class="chip">program</span>} {!more && <Clock at={line.at} />}
        </p>
        {line.removed ? (
          <p class="text gone">
            Removed
            {line.removedBy !== undefined && (
              <>
                {" "}
                by <bdi>{line.removedBy}</bdi>
              </>
            )}
          </p>
        ) : (
          <Text text={line.text} max={growing ? Infinity : SHOWN_MAX} />
        )}
        {line.event && <Details label="A message without text" value={line.event.data} />}
        {answer && <AnswerView line={line} around={around} />}
      </div>
    </article>
  );
}

/** The disk beside a name. */
function Face({ name, program }: { name: string; program: boolean }) {
  return (
    <span class="side face" data-program={program || undefined} style={{ "--hue": hueOf(name) }} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

function Text({ text, max }: { text: string; max: number }) {
  const [all, showAll] = useState(false);
  const cut = !all && text.length > max;
  return (
    <>
      {text !== "" && (
        <p class="text" dir="auto">
          {cut ? `${text.slice(0, max)}…` : text}
        </p>
      )}
      {cut && (
        <button type="button" class="plain small" onClick={() => showAll(true)}>
          Show all {text.length.toLocaleString()} characters
        </button>
      )}
    </>
  );
}

/** How an answer stands. Its button is the same element while text comes. */
function AnswerView({ line, around }: { line: Said; around: Around }) {
  if (line.answer === "ended") return <p class="answer">{endWords(line.reason, line.stopBy)}</p>;
  return (
    <div class="answer">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span>
        {line.stopBy === undefined ? (
          "answering"
        ) : (
          <>
            <bdi>{line.stopBy}</bdi> asked it to stop
          </>
        )}
      </span>
      {around.write && <Stop line={line} chat={around.chat} />}
    </div>
  );
}

function Stop({ line, chat }: { line: Said; chat: Chat }) {
  const button = useRef<HTMLButtonElement>(null);
  const { busy, error, run } = useRun();
  // The answer ends and the button goes: who was on it goes on in the box.
  useLayoutEffect(() => () => void (document.activeElement === button.current && toBox()), []);
  return (
    <>
      <button ref={button} type="button" class="plain small stop" aria-busy={busy} aria-label={`Stop the answer of ${line.who}`} onClick={() => void run(() => chat.stop(line.key))}>
        Stop
      </button>
      <Refused error={error} />
    </>
  );
}

function NoteView({ note }: { note: Note }) {
  return (
    <div class="note" data-bad={note.bad || undefined}>
      <p>
        <bdi>{note.who}</bdi> <span dir="auto">{note.words}</span> <Clock at={note.at} />
      </p>
      {note.event.data !== null && note.event.data !== undefined && <Details label="Details" value={note.event.data} />}
    </div>
  );
}

function Details({ label, value }: { label: string; value: unknown }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="more" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{label}</summary>
      {open && <Json value={value} aria-label={label} />}
    </details>
  );
}

/** What somebody has written here and the thread does not show yet. */
export function OutgoingView({ one, more, around, edit }: { one: Outgoing; more: boolean; around: Around; edit: (text: string) => void }) {
  return (
    <article class="said outgoing" data-more={more || undefined} data-mine data-failed={one.error ? true : undefined}>
      {more ? <span class="side" aria-hidden="true" /> : <Face name={around.me} program={false} />}
      <div class="body">
        <p class={more ? "unseen" : "by"}>
          <bdi class="who" style={{ "--hue": hueOf(around.me) }}>
            {around.me}
          </bdi>
        </p>
        <Text text={one.text} max={OUTGOING_MAX} />
        {!one.error && !one.written && <p class="answer sending">sending…</p>}
        {one.error && (
          <div class="answer">
            <Refused error={one.error} />
            <button type="button" class="plain small" onClick={() => (around.chat.again(one.key), toBox())}>
              Try again
            </button>
            <button type="button" class="plain small" onClick={() => edit(around.chat.takeBack(one.key))}>
              Take back
            </button>
          </div>
        )}
      </div>
    </article>
  );
}

/** Where one writes: the focus goes there when what had it goes. */
export const toBox = (): void => document.getElementById("say")?.focus();

function Clock({ at }: { at: string }) {
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}
    </time>
  );
}

function dayOf(at: string): string {
  const day = new Date(at);
  const now = new Date();
  if (day.toDateString() === now.toDateString()) return "Today";
  const year = day.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return day.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long", year });
}
