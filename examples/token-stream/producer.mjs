// The producer: reads a thread, and answers each chat message of a person with a model's tokens, appended to one
// event as they are made. It hears `stop` because it reads the thread like everybody else.
// It never keeps a token back: a line of the upload is on disk and with every reader before the next is made.
import { blocks } from "./sse.mjs";

export class Producer {
  #running = new Map(); // run_id → { abort, event_id }

  constructor({ hub, thread, headers, model }) {
    Object.assign(this, { events: `${hub}/v1/threads/${thread}/events`, headers, model });
  }

  // Reads the thread for ever, and comes back with the last id whenever the stream ends.
  async run(signal) {
    let cursor;
    while (!signal.aborted) {
      try {
        const headers = { ...this.headers, Accept: "text/event-stream", ...(cursor && { "Last-Event-ID": cursor }) };
        const response = await fetch(this.events, { headers, signal });
        for await (const { id, event, data } of blocks(response.body)) {
          cursor = id ?? cursor;
          if (event === "chat_message" && data.data.role !== "assistant") this.answer(data);
          if (event === "message" && this.#running.has(data.data.run_id)) this.#running.get(data.data.run_id).event_id = data.id;
          if (event === "stop") this.stop(data.data.event_id);
        }
      } catch (error) {
        if (!signal.aborted) console.error(`the thread can't be read: ${error.message}; trying again`);
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  stop(event_id) {
    for (const run of this.#running.values()) if (run.event_id === event_id) run.abort.abort();
  }

  // One upload for one answer: the event, then an append for each token, then how it ended. What a hub that went away
  // has cut is sent again from its first line: the keys make that harmless, because a line that is on disk already is
  // answered, not written again.
  async answer(question) {
    const run_id = `run-${question.seq}`;
    const abort = new AbortController();
    this.#running.set(run_id, { abort });
    const made = new Made(this.lines(run_id, question, abort.signal));
    for (let again = true; again; ) {
      try {
        const response = await fetch(this.events, {
          method: "POST",
          headers: { ...this.headers, "Content-Type": "application/x-ndjson" },
          body: ReadableStream.from(made).pipeThrough(new TextEncoderStream()),
          duplex: "half",
        });
        console.error(`${run_id}: ${response.status} ${await response.text()}`);
        again = response.status >= 500;
      } catch (error) {
        console.error(`${run_id}: ${error.message}; sending it again`);
      }
      if (again) await new Promise((resolve) => setTimeout(resolve, 500));
    }
    this.#running.delete(run_id);
  }

  async *lines(run_id, question, signal) {
    yield { type: "message", data: { role: "assistant", run_id }, idempotency_key: run_id };
    let reason = "stop";
    let count = 0;
    try {
      for await (const token of this.tokens(question, signal)) {
        yield { append: { data: token }, idempotency_key: `${run_id}-${++count}` };
      }
    } catch (error) {
      reason = signal.aborted ? "stopped" : error.message;
    }
    yield { type: "run_end", data: { run_id, reason }, idempotency_key: `${run_id}-end` };
  }

  async *tokens(question, signal) {
    const messages = [{ role: "user", content: question.data.text ?? "" }];
    const body = JSON.stringify({ model: "local", stream: true, messages });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`${this.model}/v1/chat/completions`, { method: "POST", headers, body, signal });
    for await (const { data } of blocks(response.body)) {
      const text = data === "[DONE]" ? undefined : data.choices[0].delta.content;
      if (text) yield text;
    }
  }
}

// Lines that are made once, at their own pace, and read as often as it takes, each time from the first.
class Made {
  #lines = [];
  #waiting = [];

  constructor(lines) {
    this.#make(lines);
  }

  async #make(lines) {
    for await (const line of lines) this.#tell(`${JSON.stringify(line)}\n`);
    this.#tell(undefined);
  }

  #tell(line) {
    this.#lines.push(line);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async *[Symbol.asyncIterator]() {
    for (let at = 0; ; at++) {
      while (at === this.#lines.length) await new Promise((resolve) => this.#waiting.push(resolve));
      if (this.#lines[at] === undefined) return;
      yield this.#lines[at];
    }
  }
}
