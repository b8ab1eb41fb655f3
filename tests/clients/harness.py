"""Starts what the tests talk to: a gateway, or a real S3 server to compare it with.

Everything started here ends with this process: the gateway by a watchdog that waits for the
end of a pipe, servers because `xtask servers run` waits for the end of its standard input.
"""

import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WEIR = Path(os.environ.get("WEIRTEST_BINARY", TARGET / "release/weir"))
XTASK = Path(os.environ.get("WEIRTEST_XTASK", TARGET / "release/xtask"))
START_LIMIT_S = 60
STOP_LIMIT_S = 30


@dataclass(frozen=True)
class Site:
    """An S3 endpoint and the keys to it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    @property
    def host(self):
        return self.endpoint.split("//", 1)[1]

    @property
    def address(self):
        name, port = self.host.rsplit(":", 1)
        return name, int(port)

    def environment(self):
        """What a new user pastes into a shell, and nothing of this machine's own settings."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def program(name):
    """A client or server of the tools' environment."""
    tools = os.environ.get("WEIRTEST_TOOLS")
    found = shutil.which(name, path=tools) if tools else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed; run this through `cargo xtask test clients`")
    return found


def free_ports(count):
    """Ports below those of outgoing connections, so that none of these takes one meanwhile."""
    free = set()
    while len(free) < count:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                free.add(port)
    return list(free)


class Gateway:
    """A gateway in a folder of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        s3, admin = free_ports(2)
        self.s3_port, self.admin_port = s3, admin
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "WEIR_S3__LISTEN": f'["127.0.0.1:{s3}"]',
            "WEIR_ADMIN__LISTEN": f"127.0.0.1:{admin}",
        }
        self.arguments = []
        self.log = self.folder / "weir.log"
        self.process = None
        self.watchdog = None
        self.site = None
        self.admin_token = None

    @property
    def admin(self):
        return f"http://127.0.0.1:{self.admin_port}"

    def configure(self, text):
        """Starts from now on with this configuration instead of none."""
        (self.folder / "weir.toml").write_text(text)
        self.arguments = ["serve", "--config", "weir.toml"]

    def start(self, site=None):
        """Starts it and waits until it is ready; `site` gives keys that it does not print."""
        with open(self.log, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [WEIR, *self.arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.watchdog = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -s KILL -- "-$1" 2>/dev/null', "watchdog", str(self.process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._wait_until(self._is_ready)
        endpoint = f"http://127.0.0.1:{self.s3_port}"
        if site is not None:
            self.site = Site(endpoint, site.access_key, site.secret_key, site.region)
            return self
        # What a new user is told is printed once everything else stands.
        self._wait_until(lambda: b"export WEIR_ADMIN_TOKEN=" in self.log.read_bytes()[begin:])
        text = self.log.read_bytes()[begin:].decode()
        told = dict(re.findall(r"^export (\w+)=['\"]?([^\s'\"]+)", text, re.M))
        assert told["AWS_ENDPOINT_URL"] == endpoint
        self.admin_token = told["WEIR_ADMIN_TOKEN"]
        self.site = Site(
            endpoint, told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], told["AWS_DEFAULT_REGION"]
        )
        return self

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.admin}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _wait_until(self, true):
        deadline = time.monotonic() + START_LIMIT_S
        while not true():
            if self.process.poll() is not None:
                raise RuntimeError(f"weir ended with {self.process.returncode}\n{self.log.read_text()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"weir is not ready after {START_LIMIT_S} s\n{self.log.read_text()}")
            time.sleep(0.02)

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def metrics(self):
        """All samples of /metrics: (name, labels as written) -> value."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = {}
        for line in text.splitlines():
            if found := re.fullmatch(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)", line):
                samples[found[1], found[2] or ""] = float(found[3])
        return samples

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        """Ends it as an operator would; answers its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number):
        if self.process is None:
            return None
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        try:
            status = self.process.wait(STOP_LIMIT_S)
        finally:
            self.watchdog.stdin.close()
            self.watchdog.wait()
        self.process.wait()
        self.process = None
        return status


class Server:
    """A real S3 server, as `cargo xtask servers run` starts it."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.process = subprocess.Popen(
            [XTASK, "servers", "run", kind, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        readable, _, _ = select.select([self.process.stdout], [], [], 90)
        line = self.process.stdout.readline() if readable else ""
        if not line:
            self.stop()
            raise RuntimeError(f"{kind} did not start")
        said = json.loads(line)
        self.pid = said["pid"]
        self.site = Site(said["endpoint"], said["access_key"], said["secret_key"])

    def stop(self):
        self.process.stdin.close()
        self.process.wait(STOP_LIMIT_S)
        self.process.stdout.close()
