// Server-sent events as text becomes blocks (WHATWG HTML, 9.2.6). Pure: it reads no socket.

/** One block. A comment alone is a block without members: a sign of life. */
export interface Block {
  id?: string;
  data?: string;
  /** In milliseconds. */
  retry?: number;
}

/** Takes pieces of a stream, cut anywhere, and gives the blocks that are whole. */
export class SseParser {
  #rest = "";
  #block: Block = {};
  #hasLines = false;

  /** The blocks that end in this piece. */
  take(text: string): Block[] {
    const blocks: Block[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line !== "") this.#line(line);
      else if (this.#hasLines) {
        blocks.push(this.#block);
        this.#block = {};
        this.#hasLines = false;
      }
    }
    return blocks;
  }

  #line(line: string): void {
    this.#hasLines = true;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    const block = this.#block;
    if (name === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === "id" && !value.includes("\0")) block.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) block.retry = Number(value);
  }
}
