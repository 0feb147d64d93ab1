"""The testers that are held against the truth: linkqual and its peers."""

import json
import re
import subprocess

from report import rows_of
from truths.lab import AGENT, BUILD, PATIENCE_S, PAYLOAD, Untrue, run, server


class Linkqual:
    """The tool that is held to the bars."""

    name = "linkqual"

    @staticmethod
    def can(_):
        return True

    def __init__(self, folder, quick):
        self.folder = folder
        # Of the idle line before a load the tables ask nothing.
        self.idle = ["--idle", "1s"] if quick else []
        for key in ("driver", "agent"):
            run([BUILD / "linkqual", "keygen", "--out", folder / key])

    def check(self, lab, arguments, ip=4):
        """The rows of a check. It first probes the idle line for 10 s; 1 s if quick."""
        host = f"[{AGENT[ip]}]" if ip == 6 else AGENT[ip]
        key, other = self.folder / "driver", self.folder / "agent"
        agent = lab.on("agent", [BUILD / "linkqual-agent", "--key", other, "--allow",
                                 f"{key}.pub", "--max-rate", "10 Gbit/s"])
        driver = lab.on("driver", [BUILD / "linkqual", "check", host, "--key", key, "--agent-key",
                                   f"{other}.pub", "--json", "--quiet", *self.idle])
        with server(agent):
            said = run([*driver, *arguments], check=False)
        try:
            return rows_of(said)
        except (KeyError, ValueError) as error:
            raise Untrue(f"linkqual printed no report ({error}): {said[:300]}") from None

    def counts(self, lab, case):
        burst = ["--burst-max", case.burst] if case.burst else []
        rows = self.check(lab, ["--rate", f"{case.mbit_s} Mbit/s", "--layer", "L4", "--duration",
                                f"{case.seconds}s", "--direction", case.way, *burst], case.ip)
        row = next((row for row in rows if row.kind == "udp" and row.is_tested), None)
        if row is None or row.figures["lost"] is None:
            raise Untrue("linkqual has no load, or not both ends' accounts of it")
        sender, receiver = row.counts["sender"], row.counts["receiver"]
        losses = receiver["losses"]
        return {
            "sent": sender["sent"], "lost": row.figures["lost"] + receiver["late"],
            "duplicated": receiver["duplicate"], "reordered": receiver["reordered"],
            "periods": (losses["bursts"], losses["longest"]),
            "outages": [(outage["start_s"], outage["duration_s"], outage["packets"])
                        for outage in row.figures["outages"]],
            "host_dropped": receiver["host_dropped"], "unattributed": receiver["unattributed"],
        }


class Iperf3:
    name = "iperf3"

    @staticmethod
    def can(_):
        return True

    def counts(self, lab, case):
        with server(lab.on("agent", ["iperf3", "-s", "-1"])):
            said = run(lab.on("driver", ["iperf3", "-c", AGENT[case.ip], "-J", "-u", "-b",
                                         f"{case.mbit_s}M", "-t", case.seconds, "-l",
                                         PAYLOAD[case.ip]] + ["-R"] * (case.way == "reverse")))
        udp = json.loads(said)["end"]["streams"][0]["udp"]
        return {"lost": udp["lost_packets"], "reordered": udp["out_of_order"]}

    def goodput(self, lab, seconds):
        with server(lab.on("agent", ["iperf3", "-s", "-1"])):
            said = run(lab.on("driver", ["iperf3", "-c", AGENT[4], "-J", "-C", "cubic", "-O", 2,
                                         "-t", seconds]))
        return json.loads(said)["end"]["sum_received"]["bits_per_second"]


class Iperf2:
    name = "iperf 2"

    @staticmethod
    def can(case):
        return case.way == "forward"

    def counts(self, lab, case):
        six = ["-V"] * (case.ip == 6)
        with server(lab.on("agent", ["iperf", "-s", "-u", "-l", PAYLOAD[case.ip], *six])):
            said = run(lab.on("driver", ["iperf", "-c", AGENT[case.ip], "-u", "-b",
                                         f"{case.mbit_s}m", "-t", case.seconds, "-l",
                                         PAYLOAD[case.ip], *six]))
        lost = re.search(r"ms +(-?\d+)/ *\d+ \(", said)
        disorder = re.search(r"(\d+) datagrams received out-of-order", said)
        if not lost:
            raise Untrue("iperf printed no report of its server")
        return {"lost": int(lost[1]), "reordered": int(disorder[1]) if disorder else 0}

    def goodput(self, lab, seconds):
        with server(lab.on("agent", ["iperf", "-s", "-f", "b"])):
            said = run(lab.on("driver", ["iperf", "-c", AGENT[4], "-Z", "cubic", "-t", seconds,
                                         "-f", "b"]))
        return float(re.findall(r"(\d+) bits/sec", said)[-1])


class Nuttcp:
    name = "nuttcp"

    @staticmethod
    def can(case):
        return case.ip == 4

    def counts(self, lab, case):
        with server(lab.on("agent", ["nuttcp", "-S", "--nofork"])):
            said = run(lab.on("driver", ["nuttcp", "-u", f"-R{case.mbit_s}m", f"-l{PAYLOAD[4]}",
                                         f"-T{case.seconds}", "-fparse"]
                              + ["-r"] * (case.way == "reverse") + [AGENT[4]]))
        lost = re.search(r"drop=(-?\d+)", said)
        if not lost:
            raise Untrue("nuttcp printed no loss figure")
        return {"lost": int(lost[1])}

    def goodput(self, lab, seconds):
        with server(lab.on("agent", ["nuttcp", "-S", "--nofork"])):
            said = run(lab.on("driver", ["nuttcp", f"-T{seconds}", "-fparse", AGENT[4]]))
        return float(re.search(r"rate_Mbps=([\d.]+)", said)[1]) * 1e6


class Irtt:
    name = "irtt"

    def floor_us(self, lab, seconds):
        with server(lab.on("agent", ["irtt", "server"])):
            said = run(lab.on("driver", ["irtt", "client", "-i", "10ms", "-d", f"{seconds}s", "-q",
                                         "-o", "-", AGENT[4]]))
        return json.loads(said)["stats"]["rtt"]["min"] / 1e3


class Fping:
    name = "fping"

    def floor_us(self, lab, seconds):
        command = ["fping", "-c", seconds * 100, "-p", 10, "-t", 1000, "-q", AGENT[4]]
        done = subprocess.run(lab.on("driver", command), capture_output=True, text=True,
                              check=False, timeout=PATIENCE_S)
        return float(re.search(r"max = ([\d.]+)/", done.stderr)[1]) * 1e3
