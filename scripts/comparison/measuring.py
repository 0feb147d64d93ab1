"""One run of one tester, and the figures that come of it."""

import contextlib
import dataclasses
import re
import signal
import struct
import time

from comparison.machine import DEVICE, FRAME, Fault, HEADERS, NEAR, PATIENCE_S, Process, busy_s, run
from comparison.testers import Linkqual, quantile


@dataclasses.dataclass
class Ended:
    """A tool's two programs, once both have ended."""

    client: Process
    server: Process | None
    cpu_s: float
    others_share: float
    device_octets: int


def play(line, tool, load, folder):
    """Runs both ends of `tool` once."""
    for name, text in tool.files(load).items():
        (folder / name).write_text(text)
    server = None
    with contextlib.ExitStack() as stack:
        command = tool.server(line.setting, load)
        began, busy = time.monotonic(), busy_s()
        octets = line.received_octets()
        if command is not None:
            server = Process(line.at(line.far, command), folder, f"{tool.name}-far")
            stack.callback(server.stop)
            server.await_port(*tool.listens_on(load))
        asked = tool.client(line.setting, load)
        client = Process(line.at(line.near, asked), folder, f"{tool.name}-near")
        stack.callback(client.stop)
        client.wait(load.seconds + PATIENCE_S)
        if server is not None and tool.ends_itself and client.code == 0:
            server.wait(PATIENCE_S, 0.005)
        elif server is not None:
            server.stop(signal.SIGINT)
    cpu_s = client.cpu_s + (server.cpu_s if server else 0.0)
    took, used = time.monotonic() - began, busy_s() - busy
    others_share = max(0.0, used - cpu_s) / took
    return Ended(client, server, cpu_s, others_share, line.received_octets() - octets)


def loaded(line, tool, load, folder):
    """What `tool` makes of `load`: the figures of a sample."""
    ended = play(line, tool, load, folder)
    counts = tool.read(load, ended.client, ended.server)
    if counts.octets <= 0 or counts.seconds <= 0:
        raise Fault(f"{tool.name}: nothing came")
    if ended.device_octets < counts.octets:
        reported, seen = counts.octets, ended.device_octets
        raise Fault(f"{tool.name}: reports {reported} octets, but the device counted {seen}")
    return {
        "goodput_bit_s": counts.octets * 8 / counts.seconds,
        "packets_s": counts.received / counts.seconds,
        "sent": counts.sent,
        "received": counts.received,
        "lost_share": 1 - counts.received / counts.sent,
        "cpu_s_gb": ended.cpu_s / (counts.octets / 1e9),
        "others_share": ended.others_share,
    }, ended


def single_with_reserve(share):
    """The most that a tool carries, and what it drops at `share` of that."""

    def measure(line, tool, load, folder):
        figures, _ = loaded(line, tool, load, folder)
        if isinstance(tool, Linkqual):
            part = int(figures["goodput_bit_s"] * share)
            below, _ = loaded(line, tool, dataclasses.replace(load, rate_bit_s=part), folder)
            figures["reserve_lost_share"] = below["lost_share"]
            figures["reserve_rate_share"] = below["goodput_bit_s"] / part
        return figures

    return measure


def plain(line, tool, load, folder):
    return loaded(line, tool, load, folder)[0]


def round_trips(line, tool, load, folder):
    ended = play(line, tool, load, folder)
    try:
        p50, p99 = tool.percentiles(ended.client)
    except (KeyError, ValueError) as error:
        raise Fault(f"{tool.name}: {ended.client.out[:300]} {ended.client.err[:300]}") from error
    return {"rtt_p50_us": p50, "rtt_p99_us": p99, "others_share": ended.others_share}


# The first half second of a load, and its end, in which tools start and stop.
WARM_UP_NS, COOL_DOWN_NS = 500_000_000, 100_000_000
# A time without load that parts a tool's load from what comes before it.
PAUSE_NS = 2_000_000_000
NEAR_IDEAL_NS = 10_000


def paced(line, tool, load, folder):
    """How evenly load packets come, by the kernel's stamps at the receiving device."""
    pcap = folder / "load.pcap"
    with contextlib.ExitStack() as stack:
        seen = ("-i", DEVICE, "-Q", "in", "--time-stamp-precision=nano", "-s", "60", "-B", "65536")
        # Probes and everything else but the load are shorter, or not from the sender.
        only = f"udp and src host {NEAR} and greater {load.payload}"
        inside = ("ip", "netns", "exec", line.far)
        dump = (*inside, "tcpdump", "-n", "-Z", "root", *seen, "-w", str(pcap), only)
        observer = Process(dump, folder, "tcpdump")
        stack.callback(observer.stop)
        until = time.monotonic() + 5.0
        while "listening on" not in observer.err:
            if observer.poll() or until < time.monotonic():
                raise Fault(f"tcpdump: {observer.err}")
            time.sleep(0.01)
        figures, ended = loaded(line, tool, load, folder)
        # What the kernel has not handed over for a second, it hands over then.
        time.sleep(1.5)
        observer.stop(signal.SIGINT)
    reported = re.findall(r"(\d+) packets? (captured|received|dropped)", observer.err)
    reported = {what: int(count) for count, what in reported}
    if reported.get("dropped") != 0 or reported.get("captured") != reported.get("received"):
        raise Fault(f"tcpdump has not seen all: {observer.err}")
    arrivals = load_of(departures(pcap, load.payload))
    pcap.unlink()
    begin, end = arrivals[0] + WARM_UP_NS, arrivals[-1] - COOL_DOWN_NS
    arrivals = [stamp for stamp in arrivals if begin <= stamp <= end]
    if len(arrivals) < 100:
        raise Fault(f"{tool.name}: {len(arrivals)} packets seen")
    ideal = load.payload * 8 * 1e9 / load.rate_bit_s
    errors = [abs(b - a - ideal) for a, b in zip(arrivals, arrivals[1:])]
    mean = (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1)
    near_ideal = sum(error <= NEAR_IDEAL_NS for error in errors)
    return figures | {
        "near_share": near_ideal / len(errors),
        "gap_error_p50_us": quantile(errors, 0.5) / 1e3,
        "gap_error_p99_us": quantile(errors, 0.99) / 1e3,
        "rate_error": abs(ideal / mean - 1),
        "sender_cpu_share": ended.client.cpu_share(begin / 1e9, end / 1e9),
    }


def departures(path, payload):
    """When each datagram of `payload` came, in nanoseconds: those of one train at once."""
    octets = path.read_bytes()
    if struct.unpack_from("<I", octets)[0] != 0xA1B23C4D:
        raise Fault("tcpdump: no stamps in nanoseconds")
    stamps, at = [], 24
    while at + 16 <= len(octets):
        secs, nanos, kept, length = struct.unpack_from("<IIII", octets, at)
        at += 16 + kept
        carried = length - FRAME - HEADERS
        # A train that has not been cut up yet has one header for all its datagrams.
        stamps += [secs * 10**9 + nanos] * max(1, carried // payload)
    return stamps


def load_of(stamps):
    """The longest run of arrivals without a pause: the load, and not the search for the MTU."""
    if not stamps:
        raise Fault("no load was seen")
    runs, begin = [], 0
    for i, (a, b) in enumerate(zip(stamps, stamps[1:]), 1):
        if PAUSE_NS < b - a:
            runs.append((begin, i))
            begin = i
    runs.append((begin, len(stamps)))
    begin, end = max(runs, key=lambda run: run[1] - run[0])
    return stamps[begin:end]
