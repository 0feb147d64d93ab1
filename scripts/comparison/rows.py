"""What is compared: the rows of the tables, and the bars that linkqual is held to."""

import dataclasses
import statistics

from comparison.measuring import paced, plain, round_trips, single_with_reserve
from comparison.testers import (
    Fping, Iperf2, Iperf3, Irtt, IrttIdle, Linkqual, LinkqualIdle, Nuttcp, Ping, Sockperf,
)


@dataclasses.dataclass(frozen=True)
class Column:
    """A figure, and how it is shown."""

    key: str
    title: str
    form: str
    scale: float = 1.0

    def show(self, values):
        """The median, and the range where there is one."""
        scaled = [value * self.scale for value in values if value is not None]
        if not scaled:
            return ""
        median = self.form.format(statistics.median(scaled))
        low, high = self.form.format(min(scaled)), self.form.format(max(scaled))
        return median if low == high else f"{median} [{low} to {high}]"

GOODPUT = Column("goodput_bit_s", "received, Gbit/s", "{:.3g}", 1e-9)
PACKETS = Column("packets_s", "received, packets/s", "{:,.0f}")
LOST = Column("lost_share", "lost by itself, %", "{:.3g}", 100)
CPU = Column("cpu_s_gb", "CPU s/GB, both ends", "{:.3g}")
NEAR_IDEAL = Column("near_share", "gaps within 10 us, %", "{:.2f}", 100)
GAP_P50 = Column("gap_error_p50_us", "gap error p50, us", "{:.3g}")
GAP_P99 = Column("gap_error_p99_us", "gap error p99, us", "{:.3g}")
RATE_ERROR = Column("rate_error", "rate error, %", "{:.2g}", 100)
SENDER_CPU = Column("sender_cpu_share", "sender's CPU, % of a core", "{:.0f}", 100)
RTT_P50 = Column("rtt_p50_us", "RTT p50, us", "{:.3g}")
RTT_P99 = Column("rtt_p99_us", "RTT p99, us", "{:.3g}")

SPEED = (GOODPUT, LOST, CPU)
PACING = (NEAR_IDEAL, GAP_P50, GAP_P99, RATE_ERROR, SENDER_CPU)


@dataclasses.dataclass(frozen=True)
class Bar:
    """What is to be reached: a figure's median, or its ratio to a peer's."""

    key: str
    sign: str
    bound: float
    # A peer's name; "best" and "each" of the peers; none for the figure itself.
    peer: str | None = None
    text: str = ""

    def judge(self, samples, peers):
        """How far it was reached, and whether it was: `None` where nothing can be said."""
        own = median(samples["linkqual"], self.key)
        if own is None:
            return "not measured", None
        if self.peer is None:
            return f"{own:.4g}", self.holds(own)
        theirs = {peer: median(samples[peer], self.key) for peer in peers}
        theirs = {peer: value for peer, value in theirs.items() if value is not None}
        if self.peer not in ("best", "each"):
            theirs = {peer: value for peer, value in theirs.items() if peer == self.peer}
        if not theirs:
            return "no peer measured", None
        # The hardest of them: the greatest where more is better, and else the least.
        hardest = max if self.sign == ">=" else min
        peer = hardest(theirs, key=theirs.get)
        ratio = paired(samples, peer, self.key)
        return f"{ratio:.3g} x {peer}", self.holds(ratio)

    def holds(self, value):
        return self.bound <= value if self.sign == ">=" else value <= self.bound


def median(samples, key):
    values = [sample[key] for sample in samples if sample.get(key) is not None]
    return statistics.median(values) if values else None


def ratios(samples, peer, key):
    """linkqual's figure by the peer's, round by round: rounds in which one failed are left out."""
    pairs = zip(samples["linkqual"], samples[peer])
    return [own[key] / its[key] for own, its in pairs if own.get(key) and its.get(key)]


def paired(samples, peer, key):
    found = ratios(samples, peer, key)
    return statistics.median(found) if found else float("nan")


@dataclasses.dataclass(frozen=True)
class Row:
    """One question that is put to several tools."""

    name: str
    title: str
    tools: tuple
    columns: tuple
    bars: tuple
    load: dict = dataclasses.field(default_factory=dict)
    measure: object = plain
    mtu: int = 1500
    segmentation: bool = True
    settings: tuple = ("root", "user")
    # The figure by which linkqual is held against each peer.
    ratio: str = "goodput_bit_s"

UDP_TOOLS = (Linkqual, Iperf3, Iperf2, Nuttcp)
PACED_TOOLS = (*UDP_TOOLS, Irtt)
IDLE_TOOLS = (LinkqualIdle, IrttIdle, Sockperf, Ping, Fping)
RESERVE = (
    Column("reserve_lost_share", "lost at {share} % of its most, %", "{:.4f}", 100),
    Column("reserve_rate_share", "of that rate came, %", "{:.2f}", 100),
)


def reserve(share):
    lost, came = RESERVE
    return dataclasses.replace(lost, title=lost.title.format(share=share)), came


def pacing_row(mbit_s, near_share, *bars):
    return Row(
        name=f"pacing-{mbit_s}",
        title=f"UDP of 1400 octets at {mbit_s} Mbit/s of payload, one datagram at a time",
        tools=PACED_TOOLS,
        columns=PACING,
        load={"rate_bit_s": mbit_s * 10**6, "single": True},
        measure=paced,
        ratio="gap_error_p99_us",
        bars=(
            Bar("near_share", ">=", near_share, text="gaps within 10 us of the ideal one"),
            Bar("rate_error", "<=", 0.001, text="error of the mean rate"),
            Bar("gap_error_p99_us", "<=", 1.0, "each", "99th percentile of the gap error"),
            *bars,
        ),
    )


def tcp_row(streams):
    return Row(
        name=f"tcp-{streams}",
        title=f"TCP, {streams} stream{'s' if 1 < streams else ''}, cubic, as fast as each can",
        tools=UDP_TOOLS,
        columns=(GOODPUT, CPU),
        load={"tcp_streams": streams},
        bars=(
            Bar("goodput_bit_s", ">=", 1.1, "iperf3", "received"),
            Bar("goodput_bit_s", ">=", 1.0, "best", "received"),
            Bar("cpu_s_gb", "<=", 0.8, "iperf3", "CPU s/GB"),
        ),
    )

ROWS = (
    Row(
        name="udp-1400-max",
        title="UDP of 1400 octets, as fast as each can",
        tools=UDP_TOOLS,
        columns=SPEED,
        # As a user it is user-1400.
        settings=("root",),
        bars=(
            Bar("goodput_bit_s", ">=", 25, "iperf3", "received"),
            Bar("cpu_s_gb", "<=", 1 / 15, "iperf3", "CPU s/GB"),
        ),
    ),
    Row(
        name="udp-1400-swseg",
        title="the same, where the sending device cannot cut up trains (tx-udp-segmentation off)",
        tools=UDP_TOOLS,
        columns=SPEED,
        segmentation=False,
        bars=(
            Bar("goodput_bit_s", ">=", 2.8, "iperf3", "received"),
            Bar("cpu_s_gb", "<=", 0.4, "iperf3", "CPU s/GB"),
        ),
    ),
    Row(
        name="udp-1400-single",
        title="UDP of 1400 octets, one datagram at a time, as fast as each can",
        tools=UDP_TOOLS,
        columns=(*SPEED, *reserve(80)),
        load={"single": True},
        measure=single_with_reserve(0.8),
        bars=(
            Bar("goodput_bit_s", ">=", 1.05, "iperf3", "received"),
            Bar("reserve_lost_share", "<=", 0.0001, text="share lost at 80 % of its most"),
        ),
    ),
    Row(
        name="udp-64",
        title="UDP of 64 octets, as fast as each can",
        tools=UDP_TOOLS,
        columns=(PACKETS, LOST, CPU),
        load={"payload": 64},
        bars=(Bar("packets_s", ">=", 5, "iperf3", "received packets/s"),),
    ),
    Row(
        name="udp-8900",
        title="UDP of 8900 octets on devices with an MTU of 9000, as fast as each can",
        tools=UDP_TOOLS,
        columns=SPEED,
        load={"payload": 8900},
        mtu=9000,
        bars=(Bar("goodput_bit_s", ">=", 3, "iperf3", "received"),),
    ),
    Row(
        name="user-1400",
        title="UDP of 1400 octets with stock limits: the most of each, and linkqual at half of it",
        tools=UDP_TOOLS,
        columns=(*SPEED, *reserve(50)),
        measure=single_with_reserve(0.5),
        settings=("user",),
        bars=(
            Bar("goodput_bit_s", ">=", 2, "iperf3", "received"),
            Bar("reserve_lost_share", "<=", 0.0, text="share lost at 50 % of its most"),
        ),
    ),
    tcp_row(1),
    tcp_row(4),
    pacing_row(
        100,
        0.95,
        Bar("sender_cpu_share", "<=", 0.7, text="sender's share of a core"),
    ),
    pacing_row(500, 0.93),
    Row(
        name="rtt",
        title="round trips on the idle line, 100 probes/s of 72 octets",
        tools=IDLE_TOOLS,
        columns=(RTT_P50, RTT_P99),
        measure=round_trips,
        ratio="rtt_p50_us",
        bars=(Bar("rtt_p50_us", "<=", 1.0, "each", "median round trip"),),
    ),
)

# What CI runs: each kind of measurement once.
QUICK = {"root": ("udp-1400-max", "tcp-1"), "user": ("pacing-100", "rtt")}
