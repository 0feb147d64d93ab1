"""A line between two hosts, as scripts/lab makes it, and what runs on them."""

import contextlib
import csv
import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from truths.log import Row

HOME = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HOME / "target"))
BUILD = Path(os.environ.get("LINKQUAL_BUILD", TARGET / "release"))
AGENT = {4: "10.77.2.2", 6: "fd77:2::2"}
PAYLOAD = {4: 1472, 6: 1452}
PATIENCE_S = 120


class Untrue(Exception):
    """A tool reported nothing."""


def run(command, timeout=PATIENCE_S, check=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=timeout, env=environment(), check=False)
    if check and done.returncode != 0:
        raise Untrue(f"{command[0]} exits with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def environment():
    return {**os.environ, "LINKQUAL_EMULATOR": str(BUILD / "examples/emulator"), "LC_ALL": "C"}


class Lab:
    """Driver and agent, a line between them."""

    numbers = itertools.count()

    def __init__(self, folder, emulated=None, faults=(), apart=False):
        # Driver and agent keep off the emulator's processor, where delays are measured.
        self.apart = ["taskset", "-c", f"0-{max(0, os.cpu_count() - 2)}"] if apart else []
        number = next(Lab.numbers)
        self.prefix = f"truth-{os.getpid()}-{number}"
        self.log_file = folder / f"log-{number}.csv" if emulated is not None else None
        arguments = []
        if emulated is not None:
            arguments = ["--emulated", *emulated, "--log", self.log_file]
        try:
            # The emulator spins on the last processor, ahead of what else wants it.
            first = ["taskset", "-c", str(os.cpu_count() - 1), "nice", "-n", "-10"]
            self.command("up", *arguments, first=first if emulated is not None else [])
            for fault in faults:
                self.command(fault[0], *fault[1:])
        except BaseException:
            self.down()
            raise

    def command(self, command, *arguments, first=()):
        return run([*first, HOME / "scripts/lab", command, self.prefix, *arguments])

    def on(self, host, command):
        namespace = f"lql-{self.prefix}-{host}"
        return [*self.apart, "ip", "netns", "exec", namespace, *map(str, command)]

    def truth(self):
        return json.loads(self.command("truth"))

    def log(self):
        with open(self.log_file, encoding="ascii") as file:
            return [Row(row) for row in csv.DictReader(file)]

    def down(self):
        self.command("down")
        if self.log_file:
            self.log_file.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()
@contextlib.contextmanager
def server(command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(0.5)
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)
