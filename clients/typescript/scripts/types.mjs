// Writes src/openapi.ts, the types of the hub's HTTP interface, from openapi.json. With `--check` it only says whether
// that file is what it would write. It never asks a hub.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const from = fileURLToPath(new URL("../../../openapi.json", import.meta.url));
const to = fileURLToPath(new URL("../src/openapi.ts", import.meta.url));

const HEAD = `// The types of the hub's HTTP interface. Made from openapi.json by \`npm run types\`; not to be changed by hand.
// It holds types alone, and never says what a hub does with them: docs/protocol.md does.
`;

const comment = (text, indent) => (text ? `${indent}/** ${text.replaceAll("*/", "* /").replaceAll(/\s*\n\s*/g, " ")} */\n` : "");
const named = (ref) => ref.split("/").at(-1);
const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

/** The members of an object, one a line. */
function members(schema, indent) {
  const needed = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties ?? {}).map(
    ([name, of]) => `${comment(of.description, indent)}${indent}${key(name)}${needed.has(name) ? "" : "?"}: ${type(of, indent)};\n`,
  );
  if (schema.additionalProperties && typeof schema.additionalProperties === "object") {
    lines.push(`${indent}[name: string]: ${type(schema.additionalProperties, indent)};\n`);
  }
  return lines.join("");
}

/** A schema as a type. What TypeScript can't say (lengths, patterns) is left out. */
function type(schema, indent = "") {
  if (schema.$ref) return named(schema.$ref);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const any = schema.oneOf ?? schema.anyOf;
  if (any) return any.map((one) => type(one, indent)).join(" | ");
  if (schema.allOf) return schema.allOf.map((one) => type(one, indent)).join(" & ");
  if (Array.isArray(schema.type)) return schema.type.map((one) => type({ ...schema, type: one }, indent)).join(" | ");
  switch (schema.type) {
    case "array":
      return `Array<${type(schema.items ?? {}, indent)}>`;
    case "boolean":
    case "string":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "object": {
      const inner = members(schema, `${indent}  `);
      return inner ? `{\n${inner}${indent}}` : "Record<string, unknown>";
    }
    default:
      return "unknown";
  }
}

/** The text of src/openapi.ts. */
export function text() {
  const { components } = JSON.parse(readFileSync(from, "utf8"));
  // What answers may be refused with, each by its code.
  const codes = Object.values(components.responses).flatMap(({ content }) => {
    const [, said] = content?.["application/problem+json"]?.schema.allOf ?? [];
    return said?.properties.code.enum ?? [];
  });
  components.schemas.RefusalCode = { description: "What a request may be refused with.", enum: [...new Set(codes)].sort() };
  const types = Object.entries(components.schemas).map(
    ([name, schema]) => `\n${comment(schema.description, "")}export type ${name} = ${type(schema)};\n`,
  );
  return HEAD + types.join("");
}

/** Whether the committed file is what would be written. */
export const isFresh = () => readFileSync(to, "utf8") === text();

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!process.argv.includes("--check")) writeFileSync(to, text());
  else if (!isFresh()) throw new Error("src/openapi.ts is stale: npm run types");
}
