// The audit as a file: fetched with the token of who looks, as its bytes are, because they are what is hashed; the browser
// saves it. The token is in a header, so it is in no address.
import { file, type Identity } from "../../session";
import { type Filter, fileName, queryOf } from "./filter";

export const FORMATS = ["ndjson", "json", "csv"] as const;
export type Format = (typeof FORMATS)[number];

/** Until the browser has begun to save; the memory of the file is given back then. */
const SAVED_MS = 60_000;

export async function save(identity: Identity, filter: Filter, format: Format): Promise<void> {
  const url = URL.createObjectURL(await file(`/v1/audit/export${queryOf(filter, { format })}`));
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(identity.tenant, identity.env, format);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), SAVED_MS);
}
