// A language model, as far as its stream goes: the OpenAI chat completions API with `stream: true`, answered by a
// local generator. Point `producer.mjs` at a real one with MODEL_URL; nothing else changes.
// It never remembers anything, and stops generating when its reader goes.
import { createServer } from "node:http";

const WORDS = (
  "A tambour is the frame that holds a canvas taut while threads pass through it. " +
  "Each word of this answer is one append to one event, on disk before anybody sees it. " +
  "Reload the page in the middle: what was written so far comes back as one event, and the rest goes on behind it. " +
  "Press stop, and the producer hears it as an event of the same thread. "
).repeat(3);

export function startModel({ tokensPerSecond = 12 } = {}) {
  const server = createServer((request, response) => {
    if (request.method !== "POST" || request.url !== "/v1/chat/completions") {
      response.writeHead(404).end();
      return;
    }
    request.resume();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const tokens = WORDS.match(/\S+\s*/g);
    const say = (delta, finish_reason = null) =>
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
    const timer = setInterval(() => {
      if (tokens.length > 0) return say({ content: tokens.shift() });
      clearInterval(timer);
      say({}, "stop");
      response.end("data: [DONE]\n\n");
    }, 1000 / tokensPerSecond);
    response.on("close", () => clearInterval(timer));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ server, url: origin(server) })));
}

export const origin = (server) => `http://127.0.0.1:${server.address().port}`;
