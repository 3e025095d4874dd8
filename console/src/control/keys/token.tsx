// The token of a key, shown once: when the dialog is closed, the page has forgotten it.
import type { openapi } from "@tambour/client";
import { Time } from "../../parts";
import { Copyable } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { curlOf } from "./rules";

export function TokenShown({ made, close }: { made: openapi.KeyWithToken; close(): void }) {
  return (
    <Dialog title={<>The token of <bdi>{made.name}</bdi></>} close={close}>
      <p class="once">
        <strong>It is shown this once.</strong> Keep it where secrets are kept. Nobody can show it again; who loses it rotates the key.
      </p>
      <Copyable text={made.token} label="Token" />
      {made.token_before_until && (
        <p>
          The token before it is good until <Time at={made.token_before_until} />.
        </p>
      )}
      <div>
        <p>Try it in a shell{made.role === "viewer" ? "" : "; it publishes to the thread welcome"}:</p>
        <Copyable text={curlOf(location.origin, made.token, made.role)} label="Command to try the token" />
      </div>
      <div class="acts">
        <button type="button" onClick={close}>
          I have it
        </button>
      </div>
    </Dialog>
  );
}
