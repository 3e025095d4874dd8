// What one may do in a thread, as far as the page can tell: it hides what would be refused. The hub decides; where the page does
// not know, everything is offered and the refusal shown. Rules alone (docs/protocol.md, "Rights").
import type { openapi } from "@tambour/client";

export function rightsIn(thread: Pick<openapi.Topic, "creator" | "members" | "visibility">, { sub, role }: { sub: string; role?: string }) {
  if (role === "viewer") return { write: false, manage: false };
  const creator = thread.creator === sub;
  if (role === undefined || role === "owner" || role === "admin" || creator) return { write: true, manage: true };
  const member = thread.members.find((one) => one.sub === sub);
  return { write: member ? member.can !== "read" : thread.visibility !== "private", manage: false };
}
