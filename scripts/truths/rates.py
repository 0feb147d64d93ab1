"""Throughput: what was reported, and what a router's device counted."""

import itertools
import json
import statistics
import sys
import threading
import time

from truths.lab import Lab, Untrue, run
from truths.tables import table

# The bar that linkqual is held to.
RATE_SHARE = 0.005

RATES = [("htb", "10mbit"), ("tbf", "10mbit"), ("htb", "100mbit"), ("tbf", "100mbit"),
         ("htb", "1gbit"), ("tbf", "1gbit")]


class Meter:
    """Counts what the router sends to the agent, while this lasts."""

    def __init__(self, lab):
        self.command = ["ip", "-n", f"lql-{lab.prefix}-router", "-j", "-s", "link", "show", "dev",
                        "to-agent"]
        self.counts, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.count)

    def count(self):
        while not self.over.wait(0.2):
            before = time.time()
            octets = json.loads(run(self.command))[0]["stats64"]["tx"]["bytes"]
            self.counts.append(((before + time.time()) / 2, octets))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def octets(self, at):
        """What it had sent at a time."""
        for (before, less), (after, more) in itertools.pairwise(self.counts):
            if before <= at <= after:
                return less + (more - less) * (at - before) / (after - before)
        raise Untrue("the router was not counted")

    def seconds(self, row):
        """Bits in each second of a trial, but the first two and the last."""
        whole = range(2, int(row.seconds) - 1)
        octets = [self.octets(row.began_s + second) for second in (*whole, whole[-1] + 1)]
        return [8 * (more - less) for less, more in itertools.pairwise(octets)]


def rate_tables(rates, tools, linkqual, folder):
    faults, rows = [], []
    for kind, rate in rates:
        print(f"- {kind} {rate}", file=sys.stderr)
        bit_s = {"mbit": 1e6, "gbit": 1e9}[rate[-4:]] * float(rate[:-4])
        name = f"{kind} {rate[:-4]} {rate[-4:-3].upper()}bit/s"
        line = [["rate", "forward", kind, rate], ["rate", "reverse", kind, rate]]
        with Lab(folder, faults=line) as lab, Meter(lab) as meter:
            found = linkqual.check(lab, ["--rate", "max", "--tcp-throughput", "1 kbit/s",
                                         "--direction", "forward", "--duration", "15s"])
        reported = {row.kind: row for row in found if row.is_tested}
        udp, tcp = reported["udp"], reported["tcp"]
        # Frames of 1514 octets, of which UDP has 1472 and TCP 1448.
        for what, row, got, payload, middle in (
            ("UDP", udp, udp.figures["goodput_bit_s"], 1472, statistics.mean),
            ("TCP", tcp, tcp.figures["tcp"]["goodput_p50_bit_s"], 1448, statistics.median),
        ):
            sent = middle(meter.seconds(row))
            # Probes, in frames of 154 octets, as far as they came.
            probes = 8 * 154 * (row.counts["probes"]["received"] or 0) / row.seconds
            off = ((got or 0) * 1514 / payload + probes) / sent - 1
            miss = abs(off) > RATE_SHARE
            rows.append([f"{name}, {what}", f"{sent / 1e6:.2f}",
                         f"{(sent / bit_s - 1) * 100:+.2f} %",
                         f"{off * 100:+.2f} %{' ✗' if miss else ''}"])
            if miss:
                faults.append(f"{name}: {what} off by {off * 100:+.2f} %")
        for tool in tools:
            with Lab(folder, faults=line) as lab:
                got = tool.goodput(lab, 6)
            rows[-1].append(f"{(got * 1514 / 1448 / bit_s - 1) * 100:+.2f} %")
        rows[-2] += ["–"] * len(tools)
    text = ("## Throughput\n\nThe router's kernel shapes frames, without their check sequence: of "
            "1514 octets 1472 are UDP payload, and 1448 TCP's. *Sent* is what the router's device "
            "counted each second, in Mbit/s, the mean of UDP's seconds and the median of TCP's, "
            "as linkqual reports them; then how far that is from what the shaper is set to. "
            "linkqual's error is that of its payload's rate, with frames and probes, against what "
            "was sent; ✗ beyond 0.5 %. Its UDP goes as fast as possible (`--rate max`). Peers "
            "measure TCP (cubic; 6 s): their error against the rate that is set.\n\n")
    heads = ["line", "sent", "against what is set", "linkqual", *[tool.name for tool in tools]]
    return text + table(heads, rows), faults
