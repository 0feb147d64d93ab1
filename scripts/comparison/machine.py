"""The machine that is measured on: namespaces with a pair of devices, processes, CPU time."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benches" / "results"

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DEVICE = "veth0"
# Ethernet's header, by which the receiving device counts more than IP.
FRAME = 14
HEADERS = 28

# Patience with a program beside the time that it is to take: linkqual probes an idle line for 10 s.
PATIENCE_S = 40.0
USER = 65534
# The exit code where this machine has no room for it; 1 where a tool failed.
CANNOT = 2

# What a kernel has where nobody has tuned it, and what one has who wants speed.
STOCK = {
    "net.core.rmem_max": "212992",
    "net.core.wmem_max": "212992",
    "net.core.rmem_default": "212992",
    "net.core.wmem_default": "212992",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
}
TUNED = {
    "net.core.rmem_max": "67108864",
    "net.core.wmem_max": "67108864",
    "net.core.rmem_default": "212992",
    "net.core.wmem_default": "212992",
    "net.ipv4.tcp_rmem": "4096 131072 67108864",
    "net.ipv4.tcp_wmem": "4096 16384 67108864",
}
BUFFER = "8M"


class Fault(Exception):
    """What makes a figure worthless, or a tool fail."""


def run(*command):
    """Runs `command`, and gives what it prints."""
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        raise Fault(f"{shlex.join(command)}: {ended.stderr.strip()}")
    return ended.stdout


def read(path):
    return pathlib.Path(path).read_text()


@dataclasses.dataclass(frozen=True)
class Setting:
    """Who runs the tools, and what the kernel lets them have."""

    name: str
    file: str
    title: str
    sysctls: dict
    buffer: str | None
    prefix: tuple

    @property
    def is_root(self):
        return not self.prefix

SETTINGS = {
    "root": Setting(
        name="root",
        file="compare.md",
        title="as root, with large buffers",
        sysctls=TUNED,
        buffer=BUFFER,
        prefix=(),
    ),
    "user": Setting(
        name="user",
        file="compare-unprivileged.md",
        title="as an ordinary user, with the kernel's stock limits",
        sysctls=STOCK,
        buffer=None,
        prefix=("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    ),
}


@contextlib.contextmanager
def whole_machine(sysctls):
    """These in place of what the whole machine has, while this lasts."""
    paths = {pathlib.Path("/proc/sys", *name.split(".")): sysctls[name] for name in sysctls}
    before = {path: path.read_text().strip() for path in paths}
    try:
        for path, value in paths.items():
            path.write_text(value)
        yield
    finally:
        for path, value in before.items():
            path.write_text(value)


def of_core(sysctls):
    """Those that no namespace has for itself."""
    return {name: value for name, value in sysctls.items() if name.startswith("net.core.")}


class Line:
    """Two namespaces and a pair of veth devices between them; left, all of it is gone."""

    number = 0

    def __init__(self, setting, mtu=1500, segmentation=True):
        Line.number += 1
        name = f"lqc{os.getpid()}-{Line.number}"
        self.near, self.far = f"{name}-near", f"{name}-far"
        self.setting, self.mtu, self.segmentation = setting, mtu, segmentation

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        # A namespace begins with the machine's own, and may not change to it by itself.
        with whole_machine({"net.ipv4.tcp_congestion_control": "cubic"}):
            for namespace in (self.near, self.far):
                run("ip", "netns", "add", namespace)
        pair = ("type", "veth", "peer", "name", DEVICE, "netns", self.far)
        run("ip", "-n", self.near, "link", "add", DEVICE, *pair)
        sysctls = self.setting.sysctls
        own = {name: sysctls[name] for name in sysctls if name not in of_core(sysctls)}
        for namespace, address in ((self.near, NEAR), (self.far, FAR)):
            run("ip", "-n", namespace, "link", "set", "lo", "up")
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", DEVICE)
            run("ip", "-n", namespace, "link", "set", DEVICE, "mtu", str(self.mtu), "up")
            for name, value in own.items():
                inside = ("ip", "netns", "exec", namespace)
                run(*inside, "sysctl", "-q", "-w", f"{name}={value}")
        if not self.segmentation:
            offload = ("ethtool", "-K", DEVICE, "tx-udp-segmentation", "off")
            run("ip", "netns", "exec", self.near, *offload)

    def __exit__(self, *_):
        for namespace in (self.near, self.far):
            subprocess.run(("ip", "netns", "del", namespace), capture_output=True)

    def at(self, namespace, command):
        """`command` as the setting's user in `namespace`."""
        return ["ip", "netns", "exec", namespace, *self.setting.prefix, *command]

    def received_octets(self):
        """What the receiving device has counted."""
        shown = json.loads(run("ip", "-n", self.far, "-j", "-s", "link", "show", DEVICE))
        return shown[0]["stats64"]["rx"]["bytes"]


class Process:
    """A program of ours, with all its threads; its times are known once it has ended."""

    alive = set()

    def __init__(self, command, folder, name):
        self.name, self.command = name, command
        self.paths = [folder / f"{name}.out", folder / f"{name}.err"]
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "NO_COLOR": "1", "HOME": "/"},
            )
        self.pid, self.code, self.cpu_s = self.child.pid, None, None
        self.samples = []
        Process.alive.add(self)

    @property
    def out(self):
        return self.paths[0].read_text(errors="replace")

    @property
    def err(self):
        return self.paths[1].read_text(errors="replace")

    def poll(self):
        """Whether it has ended."""
        if self.code is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid == 0:
                return False
            self.code = self.child.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime
            Process.alive.discard(self)
        return True

    def sample(self):
        """Notes how much CPU time it has had until now."""
        with contextlib.suppress(OSError, IndexError):
            fields = read(f"/proc/{self.pid}/stat").rpartition(") ")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            self.samples.append((time.time(), ticks / os.sysconf("SC_CLK_TCK")))

    def cpu_share(self, begin, end):
        """The share of a core that it used from `begin` to `end`, in seconds since the epoch."""
        within = [sample for sample in self.samples if begin <= sample[0] <= end]
        if len(within) < 2:
            raise Fault(f"{self.name}: no samples of its CPU time in {end - begin:.1f} s")
        (first, before), (last, after) = within[0], within[-1]
        return (after - before) / (last - first)

    def wait(self, patience_s, step_s=0.05):
        """Waits until it ends."""
        until = time.monotonic() + patience_s
        while not self.poll():
            self.sample()
            if until < time.monotonic():
                raise Fault(f"{shlex.join(self.command)}: runs after {patience_s:.0f} s")
            time.sleep(step_s)

    def stop(self, name=signal.SIGTERM):
        """Asks it to end, and ends it where it does not."""
        for name in (name, signal.SIGKILL):
            if not self.poll():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, name)
            with contextlib.suppress(Fault):
                return self.wait(3.0, 0.005)

    def listens(self, protocol, port):
        """Whether somebody in its namespace listens on `port`."""
        for table in (protocol, protocol + "6"):
            with contextlib.suppress(OSError):
                for entry in read(f"/proc/{self.pid}/net/{table}").splitlines()[1:]:
                    _, local, _, state = entry.split()[:4]
                    if int(local.rpartition(":")[2], 16) == port and state in ("0A", "07"):
                        return True
        return False

    def await_port(self, protocol, port):
        until = time.monotonic() + 5.0
        while not self.listens(protocol, port):
            if self.poll() or until < time.monotonic():
                raise Fault(f"{shlex.join(self.command)}: does not listen: {self.err.strip()}")
            time.sleep(0.01)


def busy_s():
    """CPU time that the whole machine has used."""
    ticks = [int(field) for field in read("/proc/stat").split("\n")[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
