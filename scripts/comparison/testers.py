"""The testers that are compared: how each is started at either end, and how it is read."""

import dataclasses
import functools
import json
import re
import shutil
import subprocess

from comparison.machine import FAR, Fault, ROOT, run
from report import rows_of

PROGRAMS = ("linkqual", "linkqual-agent")
# Another build of these, and the folder that it runs from.
OTHER_BUILD, OTHER_FOLDER = "other build", "other"


# The two ends of a line, as a plan has them.
ENDS = (
    "[driver]",
    'key = "driver"',
    "[sites.far]",
    f'agent = "{FAR}"',
    'key = "agent.pub"',
)


@dataclasses.dataclass(frozen=True)
class Load:
    """What a tool is asked to send."""

    seconds: float
    payload: int = 1400
    # UDP payload per second; as much as it can where there is none.
    rate_bit_s: int | None = None
    tcp_streams: int = 0
    # One datagram at a time, where a tool may send more.
    single: bool = False

    @property
    def is_tcp(self):
        return 0 < self.tcp_streams


@dataclasses.dataclass
class Counts:
    """What came of it; `sent` and `received` are datagrams, of TCP octets."""

    sent: int
    received: int
    octets: int
    seconds: float


class Tool:
    """A tester: how it is started at either end, and how it is read."""

    name = ""
    binary = ""
    # Where the far end listens, and whether it ends with the near one.
    protocol, port, ends_itself = "tcp", 0, False

    def is_here(self):
        return shutil.which(self.binary) is not None

    def version(self):
        raise NotImplementedError

    def server(self, setting, load):
        raise NotImplementedError

    def client(self, setting, load):
        raise NotImplementedError

    def listens_on(self, load):
        del load
        return self.protocol, self.port

    def read(self, load, client, server):
        raise NotImplementedError

    def files(self, load):
        """Files that it needs: their names and texts."""
        del load
        return {}


def printed(*command):
    """What `command` says of itself, on either output."""
    ended = subprocess.run(command, capture_output=True, text=True)
    return (ended.stdout + ended.stderr).strip()


class Linkqual(Tool):
    """This build; or another one, which is that of the folder `other`. Both run in `folder`."""

    name = "linkqual"
    port = 4872

    def __init__(self, folder, other=None):
        self.folder, self.other, self.programs = folder, other, "."
        if other is not None:
            self.name, self.programs = OTHER_BUILD, f"./{OTHER_FOLDER}"
        help_text = run(folder / self.programs / "linkqual", "check", "--help")
        self.has_burst_max = "--burst-max" in help_text

    def is_here(self):
        return True

    def version(self):
        if self.other is not None:
            return f"the other build: {self.other}"
        commit = printed("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
        return run(self.folder / "linkqual", "--version").strip() + f", commit {commit}"

    def server(self, setting, load):
        keys = ("--key", "agent", "--allow", "driver.pub")
        listen = ("--listen", f"{FAR}:{self.port}", "--max-rate", "400 Gbit/s")
        return [f"{self.programs}/linkqual-agent", *listen, *keys]

    def client(self, setting, load):
        if load.is_tcp:
            return [f"{self.programs}/linkqual", "run", "tcp.toml", "--json", "--quiet"]
        return self.check("--direction", "forward", *self.asked(load))

    def check(self, *asked):
        keys = ("--key", "driver", "--agent-key", "agent.pub")
        program = f"{self.programs}/linkqual"
        return [program, "check", FAR, *keys, "--json", "--quiet", *asked]

    def asked(self, load):
        rate = "max" if load.rate_bit_s is None else f"{load.rate_bit_s} bit/s"
        asked = ["--layer", "L4", "--rate", rate, "--size", str(load.payload)]
        if load.single and self.has_burst_max:
            asked += ["--burst-max", "1"]
        return [*asked, "--duration", f"{load.seconds:g} s"]

    def files(self, load):
        return {"tcp.toml": self.plan(load)} if load.is_tcp else {}

    def plan(self, load):
        """A plan without a requirement: one for TCP would make the trial longer."""
        return "\n".join((
            *ENDS,
            "[[test]]",
            'kind = "tcp"',
            'rate = "max"',
            'direction = "forward"',
            f"streams = {load.tcp_streams}",
            'congestion_control = "cubic"',
            f'duration = "{load.seconds:g} s"',
            "",
        ))

    def row(self, client, kind):
        """The forward row of the last trial of `kind`."""
        if client.code not in (0, 1, 3):
            raise Fault(f"{self.name}: exit code {client.code}: {client.err.strip()}")
        try:
            rows = rows_of(self.report(client))
        except (KeyError, ValueError) as error:
            raise Fault(f"{self.name}: no report ({error}): {client.err.strip()}") from error
        rows = [row for row in rows if row.kind == kind and row.direction == "forward"]
        if not rows or rows[-1].status != "ok":
            raise Fault(f"{self.name}: no whole {kind} trial: {client.err.strip()}")
        return rows[-1]

    def report(self, client):
        """What it printed; of another build in this one's format, which `judge` converts."""
        if self.other is None:
            return client.out
        command = (self.folder / "linkqual", "judge", client.paths[0], "--json")
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode not in (0, 1, 3):
            raise Fault(f"{self.name}: its report cannot be read: {ended.stderr.strip()}")
        return ended.stdout

    def read(self, load, client, server):
        if load.is_tcp:
            row = self.row(client, "tcp")
            sent, received = (row.counts[end]["octets"] for end in ("tcp_sender", "tcp_receiver"))
            return Counts(sent, received, received, row.seconds)
        row = self.row(client, "udp")
        sent, received = row.counts["sender"]["sent"], row.counts["receiver"]["received"]
        return Counts(sent, received, received * row.asked["payload_octets"], row.seconds)


class Iperf3(Tool):
    name, binary, port, ends_itself = "iperf3", "iperf3", 5201, True

    def version(self):
        return printed("iperf3", "--version").splitlines()[0].split(" (")[0]

    def server(self, setting, load):
        return ["iperf3", "-s", "-1"]

    def client(self, setting, load):
        command = ["iperf3", "-c", FAR, "-J", "-t", f"{load.seconds:g}"]
        if load.is_tcp:
            return [*command, "-C", "cubic", "-P", str(load.tcp_streams)]
        window = ["-w", setting.buffer] if setting.buffer else []
        # Since 3.21: trains that the kernel cuts and joins, for loads as fast as possible.
        batched = ["--gsro"] if self.has_gsro() and load.rate_bit_s is None and not load.single else []
        rate = str(load.rate_bit_s or 0)
        return [*command, "-u", "-b", rate, "-l", str(load.payload), *window, *batched]

    @functools.cache
    def has_gsro(self):
        return "--gsro" in printed("iperf3", "--help")

    def read(self, load, client, server):
        try:
            end = json.loads(client.out)["end"]
            sent, came = end["sum_sent"], end["sum_received"]
        except (ValueError, KeyError) as error:
            raise Fault(f"iperf3: {client.out[:300]} {client.err[:300]}") from error
        octets, seconds = came["bytes"], sent["seconds"]
        if load.is_tcp:
            return Counts(sent["bytes"], octets, octets, seconds)
        return Counts(sent["packets"], octets // load.payload, octets, seconds)


class Iperf2(Tool):
    name, binary, port = "iperf2", "iperf", 5001

    def version(self):
        return " ".join(printed("iperf", "--version").split()[:3])

    def listens_on(self, load):
        return ("tcp" if load.is_tcp else "udp"), self.port

    def server(self, setting, load):
        return ["iperf", "-s", "-y", "C", *self.common(setting, load)]

    def client(self, setting, load):
        command = ["iperf", "-c", FAR, "-y", "C", "-t", f"{load.seconds:g}"]
        command += self.common(setting, load)
        if load.is_tcp:
            return [*command, "-Z", "cubic", "-P", str(load.tcp_streams)]
        # It has no word for as much as it can: 0 is refused.
        return [*command, "-b", str(load.rate_bit_s or 100_000_000_000)]

    def common(self, setting, load):
        if load.is_tcp:
            return []
        window = ["-w", setting.buffer] if setting.buffer else []
        return ["-u", "-l", str(load.payload), *window]

    def read(self, load, client, server):
        near, far = self.rows(client), self.rows(server)
        if not near or len(near) != len(far):
            raise Fault(f"iperf2: {client.out}{client.err}{server.out}{server.err}")
        octets = sum(int(row[7]) for row in far)
        sent, seconds = sum(int(row[7]) for row in near), float(near[0][6].split("-")[1])
        if load.is_tcp:
            return Counts(sent, octets, octets, seconds)
        return Counts(sent // load.payload, octets // load.payload, octets, seconds)

    @staticmethod
    def rows(process):
        rows = [line.split(",") for line in process.out.splitlines()]
        # The sum of all streams has the number -1.
        return [row for row in rows if 9 <= len(row) and row[5] != "-1"]


class Nuttcp(Tool):
    name, binary, port, ends_itself = "nuttcp", "nuttcp", 5000, True

    def version(self):
        return printed("nuttcp", "-V")

    def server(self, setting, load):
        return ["nuttcp", "-S", "-1", "--nofork"]

    def client(self, setting, load):
        command = ["nuttcp", "-fparse", f"-T{load.seconds:g}"]
        if load.is_tcp:
            streams = [f"-N{load.tcp_streams}"] if 1 < load.tcp_streams else []
            return [*command, *streams, FAR]
        rate = "-Ru" if load.rate_bit_s is None else f"-Ri{load.rate_bit_s // 1000}"
        window = [f"-w{setting.buffer.lower()}"] if setting.buffer else []
        return [*command, "-u", f"-l{load.payload}", rate, *window, FAR]

    def read(self, load, client, server):
        pairs = dict(re.findall(r"(\w+)=(\S+)", client.out))
        try:
            octets = round(float(pairs["megabytes"]) * (1 << 20))
            seconds = float(pairs["real_seconds"])
            if load.is_tcp:
                # It does not report what was sent.
                return Counts(octets, octets, octets, seconds)
            sent, dropped = int(pairs["pkt"]), int(pairs["drop"])
        except (KeyError, ValueError) as error:
            raise Fault(f"nuttcp: {client.out}{client.err}") from error
        # Its octets have four places of a MiB: fewer datagrams than it could count.
        return Counts(sent, sent - dropped, (sent - dropped) * load.payload, seconds)


class Irtt(Tool):
    name, binary, protocol, port = "irtt", "irtt", "udp", 2112

    def version(self):
        return " ".join(printed("irtt", "version").splitlines()[0].split()[::2])

    def server(self, setting, load):
        # Its least interval is 10 ms unless set otherwise, and its longest packet short.
        return ["irtt", "server", "-b", FAR, "-i", "0", "-l", "0"]

    def client(self, setting, load):
        seconds, payload = f"{load.seconds:g}s", str(load.payload)
        gap = f"{load.payload * 8 * 10**9 // load.rate_bit_s}ns"
        return ["irtt", "client", "-i", gap, "-d", seconds, "-l", payload, "-Q", "-o", "-", FAR]

    def read(self, load, client, server):
        try:
            stats = json.loads(client.out)["stats"]
        except (ValueError, KeyError) as error:
            raise Fault(f"irtt: {client.out[:300]} {client.err[:300]}") from error
        sent, received = stats["packets_sent"], stats["server_packets_received"]
        return Counts(sent, received, received * load.payload, stats["duration"] / 1e9)


class Pinger(Tool):
    """Asks for round trips: what comes back is in microseconds, one for each probe that did."""

    # The octets of its payload: those of linkqual's probes.
    payload, per_second = 72, 100

    def server(self, setting, load):
        return None

    def round_trips(self, client):
        raise NotImplementedError


class LinkqualIdle(Linkqual, Pinger):
    def server(self, setting, load):
        return Linkqual.server(self, setting, load)

    def client(self, setting, load):
        return [f"{self.programs}/linkqual", "run", "idle.toml", "--json", "--quiet"]

    def files(self, load):
        return {"idle.toml": self.plan(load)}

    def plan(self, load):
        """A plan that names the port's rate: on a link of unknown rate 10 probes/s are sent."""
        return "\n".join((
            "[link]",
            'port_rate = "1 Gbit/s"',
            *ENDS,
            "[[test]]",
            'kind = "idle"',
            f'duration = "{load.seconds:g} s"',
            "",
        ))

    def percentiles(self, client):
        rtt = self.row(client, "idle").rtt_us
        return rtt["p50"], rtt["p99"]


class IrttIdle(Irtt, Pinger):
    def server(self, setting, load):
        return Irtt.server(self, setting, load)

    def client(self, setting, load):
        seconds, payload = f"{load.seconds:g}s", str(self.payload)
        gap = f"{1000 // self.per_second}ms"
        return ["irtt", "client", "-i", gap, "-d", seconds, "-l", payload, "-Q", "-o", "-", FAR]

    def percentiles(self, client):
        trips = json.loads(client.out)["round_trips"]
        return percentiles([t["delay"]["rtt"] / 1e3 for t in trips if t["lost"] == "false"])


class Sockperf(Pinger):
    name, binary, protocol, port = "sockperf", "sockperf", "udp", 11111

    def version(self):
        return " ".join(printed("sockperf", "--version").split()[:3]).replace(",", "")

    def server(self, setting, load):
        return ["sockperf", "server", "-i", FAR]

    def client(self, setting, load):
        rate = ("--mps", str(self.per_second), "-m", str(self.payload), "--full-rtt")
        return ["sockperf", "ping-pong", "-i", FAR, "-t", f"{max(2, round(load.seconds))}", *rate]

    def percentiles(self, client):
        found = dict(re.findall(r"percentile (\d+\.\d+) = +(\d+\.\d+)", client.out))
        return float(found["50.000"]), float(found["99.000"])


class Ping(Pinger):
    name, binary = "ping", "ping"

    def version(self):
        return printed("ping", "-V").splitlines()[0]

    def client(self, setting, load):
        count = str(round(load.seconds * self.per_second))
        gap = f"{1 / self.per_second:g}"
        return ["ping", "-n", "-c", count, "-i", gap, "-s", str(self.payload), FAR]

    def percentiles(self, client):
        return percentiles([float(ms) * 1e3 for ms in re.findall(r"time=(\S+) ms", client.out)])


class Fping(Pinger):
    name, binary = "fping", "fping"

    def version(self):
        return printed("fping", "--version").splitlines()[0].split(": ")[-1].replace("V", "fping v")

    def client(self, setting, load):
        count, gap = str(round(load.seconds * self.per_second)), str(1000 // self.per_second)
        return ["fping", "-q", "-C", count, "-p", gap, "-b", str(self.payload), FAR]

    def percentiles(self, client):
        answers = client.err.partition(" : ")[2].split()
        return percentiles([float(ms) * 1e3 for ms in answers if ms != "-"])


def percentiles(values):
    """The median and the 99th percentile."""
    if not values:
        raise Fault("nothing came back")
    return tuple(quantile(values, share) for share in (0.5, 0.99))


def quantile(values, share):
    """The least value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
