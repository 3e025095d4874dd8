// SSE blocks of a response body, with their data as JSON where it is. It never reconnects: whoever reads does.
export async function* blocks(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const block = {};
      for (const line of part.split("\n")) {
        const [, field, value] = line.match(/^([^:]*): ?(.*)$/) ?? [];
        if (field) block[field] = value;
      }
      if (block.data === undefined) continue;
      const isJson = block.data.startsWith("{");
      yield { ...block, data: isJson ? JSON.parse(block.data) : block.data };
    }
  }
}
