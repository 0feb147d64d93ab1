"""Round trips and their variation: what was reported, and what was true."""

import base64
import struct
import sys
from collections import Counter

from truths.lab import Lab, Untrue
from truths.log import of_kind
from truths.tables import table

# The bars that linkqual is held to.
RTT_FLOOR_US = 50
VARIATION_SHARE, VARIATION_US = 0.05, 20

DELAYS = [
    ("no delay", ""),
    ("5 ms", "delay=5ms"),
    ("10 ms, jitter uniform to 1 ms", "delay=10ms jitter=uniform:1ms"),
    ("10 ms, jitter exponential, mean 0.2 ms", "delay=10ms jitter=exponential:200us"),
    ("20 ms, jitter normal, deviation 1 ms", "delay=20ms jitter=normal:1ms"),
    ("50 ms, jitter exponential, mean 2 ms", "delay=50ms jitter=exponential:2ms"),
]


class Histogram:
    """HdrHistogram's V2 form, as reports have it, with the least value as they give it."""

    def __init__(self, record):
        octets = base64.b64decode(record["histogram"])
        _, length, _, digits, _, _, _ = struct.unpack(">iiiiqqd", octets[:40])
        sub_buckets = 1
        while sub_buckets < 2 * 10 ** digits:
            sub_buckets *= 2
        self.half, self.counts, index, at = sub_buckets // 2, [], 0, 40
        while at < 40 + length:
            value, at = self.number(octets, at)
            if value < 0:
                index -= value
            else:
                self.counts.append((self.value(index), value))
                index += 1
        self.total = sum(count for _, count in self.counts) + record["lost"]
        self.least = record["min_ns"]

    @staticmethod
    def number(octets, at):
        value = 0
        for place in range(9):
            octet = octets[at]
            at += 1
            if place == 8:
                value |= octet << 56
                break
            value |= (octet & 0x7F) << (7 * place)
            if octet < 0x80:
                break
        return (value >> 1) ^ -(value & 1), at

    def value(self, index):
        """The middle of a bucket."""
        bucket, sub = index // self.half - 1, index % self.half + self.half
        if bucket < 0:
            bucket, sub = 0, sub - self.half
        return (sub << bucket) + ((1 << bucket) - 1) / 2

    def quantile(self, q):
        rank = max(1, -(-self.total * q // 1))
        for value, count in self.counts:
            rank -= count
            if rank <= 0:
                return value
        return float("inf")


def quantile(values, q):
    values = sorted(values)
    return values[max(1, int(-(-len(values) * q // 1))) - 1]


class Bounds:
    """What delays were, in microseconds: each lies between two bounds, the emulator's own error."""

    def __init__(self, lows, highs):
        self.lows, self.highs = lows, highs

    def __add__(self, other):
        return Bounds([a + b for a, b in zip(self.lows, other.lows)],
                      [a + b for a, b in zip(self.highs, other.highs)])

    def quantile(self, q):
        return quantile(self.lows, q), quantile(self.highs, q)

    def floor(self):
        return min(self.lows), min(self.highs)

    def variation(self, q):
        """Above the least of them."""
        (low, high), (least, most) = self.quantile(q), self.floor()
        return max(0, low - most), high - least


def error(reported, true):
    """How far `reported` is beyond the bounds `true`."""
    low, high = true
    return min(reported - low, 0) + max(reported - high, 0)


def between(true):
    return f"{true[0]:.0f} to {true[1]:.0f}"


def delay_truth(log, probes):
    """Delays of the idle trial's probes: by direction, and of the round trip."""
    ways = {}
    for way in ("forward", "reverse"):
        packets, _ = of_kind(log, way, "probe")
        # Those of the trial have the size of most, and come last.
        [(size, _)] = Counter(packet.octets for packet in packets).most_common(1)
        packets = [packet for packet in packets if packet.octets == size][-probes:]
        ways[way] = Bounds([(packet.written - packet.read) / 1e3 for packet in packets],
                           [(packet.done - packet.empty) / 1e3 for packet in packets])
    return ways, ways["forward"] + ways["reverse"]


def peer_error(tool, line, folder):
    """How far the floor that a peer measured over `line` is beyond what was true of it."""
    with Lab(folder, line, apart=True) as lab:
        try:
            floor = tool.floor_us(lab, 5)
        except (Untrue, TypeError, ValueError) as fault:
            print(f"  {tool.name}: {fault}", file=sys.stderr)
            floor = None
        lab.truth()
        _, own = delay_truth(lab.log(), 500)
    return "–" if floor is None else f"{error(floor, own.floor()):+.0f}"


def variation(name, row, true, slack, judged):
    """The cells of one direction, and its faults; judged are the quantiles of `judged`."""
    histogram = Histogram(row.counts["probes"]["variation"])
    cells, faults = [name], []
    for q in (0.5, 0.99):
        its = true.variation(q)
        mine = (histogram.quantile(q) - (histogram.least or 0)) / 1e3
        off = error(mine, its)
        miss = q in judged and abs(off) > slack * max(VARIATION_SHARE * its[0], VARIATION_US)
        cells += [between(its), f"{mine:.0f}", f"{off:+.0f}{' ✗' if miss else ''}"]
        if miss:
            faults.append(f"{name}: variation p{q * 100:.0f} {mine:.0f} us, not {between(its)} us")
    return cells, faults


def delay_tables(cases, tools, linkqual, folder, quick):
    # A machine that others use too delays packets itself: CI holds floors and medians alone, and to
    # ten times the bars.
    seconds, slack, judged = (5, 10, (0.5,)) if quick else (20, 1, (0.5, 0.99))
    faults, rtts, variations = [], [], []
    for name, words in cases:
        print(f"- {name}", file=sys.stderr)
        both = ["--forward", words, "--reverse", words]
        with Lab(folder, both, apart=True) as lab:
            rows = linkqual.check(lab, ["--duration", f"{seconds}s"])
            lateness = lab.truth()["forward"]["lateness_ns"]
            rows = [row for row in rows if row.kind == "idle"]
            ways, trips = delay_truth(lab.log(), rows[0].counts["probes"]["sent"])
        reported = rows[0].rtt_us
        true = {"min": trips.floor(), "p50": trips.quantile(0.5), "p99": trips.quantile(0.99)}
        errors = {at: error(reported[at], true[at]) for at in true}
        if abs(errors["min"]) > slack * RTT_FLOOR_US:
            faults.append(f"{name}: RTT floor off by {errors['min']:.0f} us")
        peers = [peer_error(tool, both, folder) for tool in tools]
        cells = [cell for at in true for cell in (between(true[at]), f"{errors[at]:+.0f}")]
        rtts.append([name, *cells, f"{lateness['p99'] / 1e3:.1f}", *peers])
        for row in rows:
            way = row.direction
            line, its = variation(f"{name}, {way}", row, ways[way], slack, judged)
            variations.append(line)
            faults += its
    text = ("## Round trips\n\nMicroseconds. The emulator knows each delay between two bounds, its "
            "own error: a packet left its host after its device was seen empty last and before it "
            "was read, and reached the other while it was written. *True* is what those bounds "
            "make of the floor, the median and the 99th percentile of all probes both ways, and "
            "an error is what linkqual's figure lies beyond them. *Late* is the 99th percentile "
            "of the emulator's writing behind when it was due. Peers: the error of their "
            "floor.\n\n")
    heads = ["line, each way", *[head for at in ("floor", "p50", "p99")
                                 for head in (f"true {at}", "error")], "late"]
    text += table([*heads, *[tool.name for tool in tools]], rtts)
    text += ("\n## Variation\n\nMicroseconds above the least one-way delay, of the same probes: "
             "true, reported, and the error; ✗ beyond both 5 % and 20 us.\n\n")
    head = ["line", "true p50", "reported", "error", "true p99", "reported", "error"]
    text += table(head, variations)
    return text, faults
