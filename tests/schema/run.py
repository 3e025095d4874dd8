"""Tries the description of the hub against a real hub, with schemathesis.

    python tests/schema/run.py BINARY [SEED]

What the description allows and what it forbids is sent; every answer must be one that it names, and none may be 5xx.
Run it by `tests/run`, which makes the environment that it needs.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hub import Hub

HERE = Path(__file__).resolve().parent
SEED = "20261122"
EVENTS = 20


def prepare(hub):
    """Makes the topics that `schemathesis.toml` names, and gives cursors of theirs."""
    cursors = []
    for kind in ["threads", "canvases"]:
        for name in ["plan", "open", "closed", "spare"]:
            hub.ask("POST", f"/v1/{kind}", {"id": name})
            path = f"/v1/{kind}/{name}/events"
            written = hub.ask("POST", path, [{"type": "note", "data": n} for n in range(EVENTS)])
            first, last = written["first"]["id"], written["last"]["id"]
            hub.ask("POST", path, [{"append": {"event_id": first, "data": text}} for text in ["Hel", "lo"]])
            hub.ask("DELETE", f"{path}/{last}")
            cursors += [first, last]
        hub.ask("POST", f"/v1/{kind}/closed/close")
    return cursors


def schemathesis(hub, directory, cursors, seed):
    """Runs it, and gives its exit code."""
    config = Path(directory) / "schemathesis.toml"
    known = f"\n[dictionaries.cursors]\nvalues = {json.dumps(cursors)}\n"
    config.write_text((HERE / "schemathesis.toml").read_text() + known)
    program = Path(sys.executable).parent / "schemathesis"
    command = [program, "--config-file", config, "run", f"{hub.url}/openapi.json", "--seed", seed]
    env = os.environ | {
        "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        "TAMBOUR_SCHEMA_TOKEN": hub.token,
        "TAMBOUR_SCHEMA_URL": hub.url,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    code = subprocess.run(command, env=env, cwd=directory, check=False).returncode
    if code not in (0, 1):
        print(f"schemathesis ended with {code}")
    return code


def main():
    binary, seed = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else SEED
    # Whoever ends this ends the hub, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {seed}; again with: tests/schema/run.py BINARY {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tambour-schema-") as directory:
        hub = Hub(binary, directory)
        try:
            found = schemathesis(hub, directory, prepare(hub), seed)
        finally:
            code = hub.stop()
        # Whatever the description says: the hub has no mistake of its own.
        failed = [line for line in hub.log().splitlines() if "ERROR" in line or "panicked" in line]
    if failed:
        print("the hub logged:", *failed[:20], sep="\n")
    if code != 0:
        print(f"the hub ended with {code}")
    return 1 if found or code or failed else 0


if __name__ == "__main__":
    sys.exit(main())
