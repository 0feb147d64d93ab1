"""The emulator's log: what became of each packet."""


class Row:
    """A row of the emulator's log: an arrival, or a loss."""

    __slots__ = ("way", "kind", "number", "octets", "fate", "empty", "read", "written", "done")

    def __init__(self, row):
        self.way, self.kind, self.fate = row["direction"], row["class"], row["fate"]
        self.number, self.octets = int(row["number"]), int(row["octets"])
        self.empty, self.read = int(row["empty_ns"]), int(row["read_ns"])
        self.written = int(row["written_ns"]) if row["written_ns"] else None
        self.done = int(row["done_ns"]) if row["done_ns"] else None


def of_kind(log, way, kind):
    """The rows of one direction and class: the first of each packet, in the order of the offers,
    and the arrivals of each packet's first copy, in the order of the arrivals."""
    packets, arrivals = {}, []
    for row in log:
        if (row.way, row.kind) == (way, kind) and row.number not in packets:
            packets[row.number] = row
            if row.written is not None:
                arrivals.append(row)
    return [packets[number] for number in sorted(packets)], arrivals


def loss_periods(packets):
    lengths, length = [], 0
    for packet in packets:
        if packet.written is None:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths + [length] if length else lengths


def reordered(arrivals):
    """RFC 4737: arrivals behind one that was sent later."""
    highest, count = -1, 0
    for row in arrivals:
        count += row.number < highest
        highest = max(highest, row.number)
    return count


def outages(log, way):
    """Gaps between arrivals of load or probes of 50 ms or more while load was offered: start after
    the first load's arrival and length, in seconds, and the packets that were lost in them."""
    rows = [row for row in log if row.way == way and row.kind in ("load", "probe")]
    load = [row for row in rows if row.kind == "load"]
    arrivals = sorted((row for row in rows if row.written is not None), key=lambda row: row.written)
    if all(row.written is None for row in load):
        return []
    began = min(row.written for row in load if row.written is not None)
    ended = max(row.read for row in load)
    found, latest = [], 0
    for last, following in zip(arrivals, arrivals[1:]):
        # The last to arrive may have been held back: what was lost before others that came by then
        # was not lost in this gap.
        latest = max(latest, last.read)
        gap = following.written - last.written
        if began <= last.written <= ended and gap >= 50_000_000:
            lost = sum(row.written is None and latest < row.read < following.read
                       for row in rows)
            found.append(((last.written - began) / 1e9, gap / 1e9, lost))
    return found
