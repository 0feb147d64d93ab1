"""What `linkqual --json` prints: its trials, each in either direction."""

import dataclasses
import json

FORMAT = "linkqual-report/3"


@dataclasses.dataclass(frozen=True)
class Row:
    """One trial in one direction, in the record's own names."""

    trial: dict
    direction: str

    @property
    def kind(self):
        asked = self.trial["asked"]
        return next((kind for kind in ("udp", "tcp") if asked[kind] is not None), "idle")

    @property
    def asked(self):
        """The load that was asked for."""
        return self.trial["asked"][self.kind]

    @property
    def counts(self):
        """What both ends counted; an end whose account is missing is null."""
        return self.trial[self.direction]

    @property
    def figures(self):
        """What follows from the counts of this direction."""
        return self.trial["figures"][self.direction]

    @property
    def is_tested(self):
        return self.figures["tested"]

    @property
    def status(self):
        return self.trial["status"]

    @property
    def rtt_us(self):
        """Percentiles of the probes' round trips."""
        return self.trial["figures"]["rtt_us"]

    @property
    def began_s(self):
        """When its first packet was due, in seconds since the epoch."""
        return self.trial["started_ns"] / 1e9

    @property
    def seconds(self):
        """How long packets were due."""
        return self.trial["asked"]["duration_ns"] / 1e9


def rows_of(text):
    """Every trial and direction, in their order; ValueError where `text` is no such report."""
    report = json.loads(text)
    if report["format"] != FORMAT:
        raise ValueError(f"a report of format {report['format']}, not {FORMAT}")
    trials = [trial for link in report["links"] for site in link["sites"]
              for trial in site["trials"]]
    return [Row(trial, direction) for trial in trials for direction in ("forward", "reverse")]
