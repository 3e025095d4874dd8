"""A real hub in a process of its own, and the few requests that prepare it.

It never stands in for a hub: the binary is the one that it is given.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import time

READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
TENANT = "t_demo"
ENV = "dev"


class Hub:
    """A hub with an empty data directory, on a port of its own."""

    def __init__(self, binary, directory):
        listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", directory]
        self.log_path = os.path.join(directory, "hub.log")
        # A generator of requests is faster than anybody, and most of its tokens are none.
        unrated = ["PUBLISH_PER_MINUTE", "ACTION_PER_MINUTE", "BAD_TOKENS_PER_MINUTE"]
        env = os.environ | {f"TAMBOUR__RATES__{rate}": "0" for rate in unrated}
        with open(self.log_path, "wb") as log:
            # It makes stream tokens, too, and never opens one.
            env["TAMBOUR__TOKENS__OUTSTANDING_MAX"] = "10000"
            self._process = subprocess.Popen([binary, "serve", *listen], stdout=subprocess.PIPE, stderr=log, env=env)
        os.set_blocking(self._process.stdout.fileno(), False)
        self.url = self._url()
        asked = [binary, "token", "--data", directory, "--tenant", TENANT, "--env", ENV, "--sub", "alice"]
        told = subprocess.run([*asked, "--role", "owner"], check=True, capture_output=True, text=True)
        self.token = told.stdout.strip()

    def _url(self):
        """Waits until the hub says where it listens."""
        said = ""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            said += (self._process.stdout.read() or b"").decode()
            if found := re.search(r"listening on (http://\S+)\n", said):
                return found[1]
            time.sleep(0.02)
        self.stop()
        raise SystemExit(f"the hub does not listen; it said: {said}{self.log()}")

    def log(self):
        """What the hub logged."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def ask(self, method, path, body=None):
        """Sends a request that must be answered by 2xx, and gives its JSON."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "X-Tenant-Id": TENANT,
            "X-Env": ENV,
        }
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def stop(self):
        """Ends the hub as an operator does, and gives its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
