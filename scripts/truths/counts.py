"""Losses, copies, order and outages: what was reported, and what was true."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from truths.lab import Lab, Untrue, run
from truths.log import loss_periods, of_kind, outages, reordered
from truths.tables import table
from truths.testers import Linkqual

# The bar that linkqual is held to.
OUTAGE_US = 1_000


class Case:
    """A line, and the load that crosses it: linkqual's in trains where it may send such a burst."""

    def __init__(self, name, words=None, faults=(), way="forward", ip=4, mbit_s=20, seconds=5,
                 burst=None):
        self.name, self.words, self.faults = name, words, faults
        self.way, self.ip, self.mbit_s, self.seconds = way, ip, mbit_s, seconds
        self.burst = burst

    def lab(self, folder):
        if self.words is None:
            return Lab(folder, faults=[[part.replace("WAY", self.way) for part in fault]
                                       for fault in self.faults])
        line = f"mtu=1500 delay=5ms {self.words}"
        other = {"forward": "reverse", "reverse": "forward"}[self.way]
        return Lab(folder, [f"--{self.way}", line, f"--{other}", "mtu=1500 delay=5ms"])


COUNTS = [
    Case("a perfect line", ""),
    Case("each 20th lost", "load.loss=nth:20"),
    Case("0.1 % lost by chance", "load.loss=0.1%"),
    Case("1 % lost by chance", "load.loss=1%"),
    Case("bursts of 5 on average", "load.loss=ge:0.2%,20%"),
    Case("all behind the 5000th lost", "load.loss=after:5000"),
    Case("each 10th twice", "load.duplicate=nth:10,100us"),
    Case("each 20th lost, each 10th twice", "load.loss=nth:20 load.duplicate=nth:10,100us"),
    Case("each 50th held back 5 ms", "load.reorder=nth:50,5ms"),
    Case("lost, twice and held back", "load.loss=ge:0.2%,20% load.duplicate=1%,100us "
         "load.reorder=1%,5ms"),
    Case("policed to 15 Mbit/s", "policer=15Mbit/s,64kB"),
    Case("a full queue of 15 Mbit/s", "rate=15Mbit/s,100kB"),
    Case("dead for 0.5 s", "outage=2s+500ms"),
    Case("dead for 3 s", "outage=2s+3s", seconds=8),
    Case("IPv6: lost, twice and held back", "load.loss=ge:0.2%,20% load.duplicate=1%,100us "
         "load.reorder=1%,5ms", ip=6),
    Case("reverse: each 20th lost, each 10th twice",
         "load.loss=nth:20 load.duplicate=nth:10,100us", way="reverse"),
    Case("kernel: 1 % lost by chance", faults=[["lose", "WAY", "load", "random", "100"]]),
    Case("kernel: each 20th lost", faults=[["lose", "WAY", "load", "nth", "20"]]),
    Case("kernel: reverse, each 20th lost", faults=[["lose", "WAY", "load", "nth", "20"]],
         way="reverse"),
    Case("kernel: policed to 15 Mbit/s",
         faults=[["police", "WAY", "load", "1875000", "65536"]]),
    Case("kernel: each 10th twice", faults=[["double", "WAY", "load", "10"]]),
    Case("trains of 4: lost, twice and held back", "load.loss=ge:0.2%,20% "
         "load.duplicate=1%,100us load.reorder=1%,5ms", mbit_s=200, seconds=3, burst=8192),
    Case("trains of 4, reverse: bursts of 5 on average", "load.loss=ge:0.2%,20%", mbit_s=200,
         seconds=3, burst=8192, way="reverse"),
]

# What CI runs: each kind of truth once.
QUICK = [
    Case("lost, twice, held back and dead for 0.5 s", "load.loss=ge:0.2%,20% "
         "load.duplicate=1%,100us load.reorder=1%,5ms outage=1s+500ms", seconds=3),
    Case("kernel: 1 % lost by chance", faults=[["lose", "WAY", "load", "random", "100"]],
         seconds=3),
    Case("trains of 2: lost, twice and held back", "load.loss=ge:0.2%,20% "
         "load.duplicate=1%,100us load.reorder=1%,5ms", mbit_s=100, seconds=3, burst=8192),
]


def exact_truth(lab, case):
    """What the line did to the load, by its own count."""
    truth = lab.truth()
    load = truth[case.way]["load"]
    found = {"sent": load["offered"], "duplicated": load["duplicated"]}
    if case.words is None:
        found["lost"] = load["lost"]
        return found
    found["lost"] = load["lost"]
    log = lab.log()
    packets, arrivals = of_kind(log, case.way, "load")
    lengths = loss_periods(packets)
    found["periods"] = (len(lengths), max(lengths, default=0))
    found["reordered"] = reordered(arrivals)
    found["outages"] = outages(log, case.way)
    dropped = sum(sum(truth[f"{host}_device"].values()) for host in ("driver", "agent"))
    found["kernel_dropped"] = dropped + truth[case.way]["refused"]
    return found


def judge_counts(reported, true):
    """What linkqual reported that is not so."""
    faults = []
    for what in ("sent", "lost", "duplicated", "reordered", "periods"):
        if what in true and reported[what] != true[what]:
            faults.append(f"{what} {shown(reported[what])}, not {shown(true[what])}")
    if reported["host_dropped"] or reported["unattributed"]:
        faults.append(f"{reported['host_dropped']} dropped and {reported['unattributed']} perhaps "
                      "dropped by this host")
    if "outages" in true:
        if len(reported["outages"]) != len(true["outages"]):
            faults.append(f"{len(reported['outages'])} outages, not {len(true['outages'])}")
        for mine, its in zip(reported["outages"], true["outages"]):
            errors = [abs(mine[place] - its[place]) * 1e6 for place in (0, 1)]
            if mine[2] != its[2] or max(errors) > OUTAGE_US:
                faults.append(f"outage {mine}, not {its}")
    return faults


def shown(value):
    if isinstance(value, tuple):
        return f"{value[0]} of up to {value[1]}"
    return "–" if value is None else str(value)


def own_drops(lab, case):
    """What the receiving host's own sockets dropped: no fault of the line."""
    host = {"forward": "agent", "reverse": "driver"}[case.way]
    file = "snmp6" if case.ip == 6 else "snmp"
    text = run(lab.on(host, ["cat", f"/proc/net/{file}"]))
    if case.ip == 6:
        return int(re.search(r"Udp6RcvbufErrors\s+(\d+)", text)[1])
    heads, values = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    return int(values[heads.index("RcvbufErrors")])


def count(case, tools, folder):
    """Each tool over a line of its own, the same for all: what it reported, and what was true."""
    print(f"- {case.name}", file=sys.stderr)
    results = []
    for tool in tools:
        if not tool.can(case):
            results.append((tool, {}, {}))
            continue
        with case.lab(folder) as lab:
            try:
                reported = tool.counts(lab, case)
            except (Untrue, KeyError, ValueError, subprocess.TimeoutExpired) as error:
                print(f"  {tool.name}: {error}", file=sys.stderr)
                reported = {}
            reported["own"] = own_drops(lab, case)
            results.append((tool, reported, exact_truth(lab, case)))
    return results


def count_tables(cases, tools, folder):
    faults, lost, order, dead = [], [], [], []
    # Counts stay exact beside others, so some lines are tried at once.
    with ThreadPoolExecutor(3) as pool:
        counted = list(pool.map(lambda case: count(case, tools, folder), cases))
    for case, results in zip(cases, counted):
        cells = {"lost": [], "reordered": []}
        for tool, reported, true in results:
            for what, row in cells.items():
                if what in reported and what in true:
                    right = "" if reported[what] == true[what] else " ✗"
                    dropped = f" (own host: {reported['own']})" if right and reported["own"] else ""
                    row.append(f"{reported[what]} of {true[what]}{right}{dropped}")
                else:
                    row.append("–")
            if tool.name != Linkqual.name:
                continue
            if "lost" not in reported:
                faults.append(f"{case.name}: nothing was reported")
                continue
            faults += [f"{case.name}: {fault}" for fault in judge_counts(reported, true)]
            own = [f"{reported['duplicated']} of {true['duplicated']}"]
            if "periods" in true:
                own += [f"{shown(reported['periods'])}; {shown(true['periods'])}"]
                for mine, its in zip(reported["outages"], true["outages"]):
                    # Hosts that stand still make gaps too; those are of no interest here.
                    if "dead" not in case.name:
                        break
                    dead.append([case.name, f"{mine[0]:.6f}", f"{its[0]:.6f}", f"{mine[1]:.6f}",
                                 f"{its[1]:.6f}", f"{mine[2]} of {its[2]}"])
            else:
                own.append("–")
        lost.append([case.name, *cells["lost"]])
        order.append([case.name, *own, *cells["reordered"]])
    names = [tool.name for tool in tools]
    text = ("## Losses\n\nPackets reported lost *of* those that the line lost; ✗ where the two "
            "differ, with what the receiving host's own sockets dropped meanwhile. "
            "UDP of 20 Mbit/s for 5 s, or for 8 s where the line is dead for 3 s.\n\n")
    text += table(["line", *names], lost)
    text += ("\n## Copies, patterns and order\n\nReported *of* true. Loss periods are runs of losses: "
             "their number, and the longest. Copies and periods are linkqual's alone; the kernel's "
             "router knows no order.\n\n")
    text += table(["line", "copies", "loss periods: reported; true",
                   *[f"reordered: {name}" for name in names[:3]]],
                  [row[:6] for row in order])
    if dead:
        text += ("\n## Outages\n\nSeconds behind the first arrival, and length, from the last "
                 "arrival before to the first behind it; packets of load and probes that it "
                 "swallowed. None of the peers reports any.\n\n")
        head = ["line", "start reported", "true", "length reported", "true", "packets"]
        text += table(head, dead)
    return text, faults
