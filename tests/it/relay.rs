//! Real processes with the relay between them: what is reported equals what the relay did.
//!
//! Peers get each of these wrong; the relay's own counts are the truth.

use crate::support::{Agent, TrialKind, TrialRow, rows, run as run_program, share};
use linkqual::demo::relay::Relay;
use linkqual::emulation::{Applies, Class, Counts, Duplicate, Loss, Reorder, Spec};
use linkqual::report::Report;

const LOAD: Applies = Applies::To(Class::Load);

/// A line that an MTU of 1500 and a millisecond each way make a line.
fn line(spec: Spec) -> Spec {
    Spec { mtu: Some(1_500), delay_ns: 1_000_000, ..spec }
}

/// What was reported of a load both ways over `spec`, and what the relay did to it.
fn run(spec: &Spec) -> (Report, Vec<(TrialRow, Counts)>) {
    let _machine = share(8);
    let agent = Agent::start();
    let relay = Relay::start(agent.address, line(spec.clone()), line(spec.clone()), 7).unwrap();
    let arguments = ["--rate", "4 Mbit/s", "--duration", "5s", "--direction", "both", "--json"];
    let mut command = agent.check_at(relay.local());
    let ended = run_program(command.args(arguments).args(["--idle", "1s"]));
    let report: Report =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.err));
    let rows = rows(&report).into_iter().filter(|row| row.kind == TrialKind::Udp);
    let rows = rows.map(|row| {
        let counts = relay.counts(row.direction, Class::Load);
        (row, counts)
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 2, "{report:#?}");
    (report, rows)
}

/// Every count that both know is the same.
#[track_caller]
fn check_exact(spec: &Spec) -> Vec<(TrialRow, Counts)> {
    let (report, rows) = run(spec);
    for (row, truth) in &rows {
        let direction = row.direction;
        assert_eq!(row.host_dropped_packets, Some(0), "the tests' own host dropped: {report:#?}");
        assert_eq!(row.sent_packets, Some(truth.offered), "sent {direction}");
        assert_eq!(row.received_packets, Some(truth.delivered), "received {direction}");
        assert_eq!(row.lost_packets, Some(truth.lost()), "lost {direction}");
        assert_eq!(row.duplicate_packets, Some(truth.duplicated), "duplicate {direction}");
        assert_eq!(row.late_packets, Some(0), "late {direction}");
        assert_eq!(row.rejected_packets, Some(0), "rejected {direction}");
    }
    rows
}

#[test]
fn every_twentieth_dropped_is_lost() {
    let spec = Spec { loss: vec![(LOAD, Loss::EveryNth(20))], ..Spec::default() };
    for (row, truth) in check_exact(&spec) {
        assert_eq!(truth.lost(), truth.offered / 20);
        assert_eq!(row.loss_bursts.unwrap().longest(), 1);
    }
}

/// 5 s of 4 Mbit/s in frames of 1518 octets are 1647 packets, of which probes and heartbeats take
/// the place of 20.
#[test]
fn the_second_half_dropped_is_lost_and_an_outage() {
    let spec = Spec { loss: vec![(LOAD, Loss::After(825))], ..Spec::default() };
    for (row, truth) in check_exact(&spec) {
        let due = truth.offered + row.skipped_packets.unwrap();
        // A trial is lengthened where the host's own delays vary so much that a queue would hide.
        assert!(1_627 <= due, "{due}");
        assert_eq!(truth.delivered, 825);
        // Probes still cross, so the line is not dead: losses, and no outage.
        assert_eq!(row.outages.unwrap().len(), 0);
        assert_eq!(row.loss_bursts.unwrap().longest(), truth.offered - 825);
    }
}

#[test]
fn duplicates_mask_no_loss() {
    let spec = Spec {
        loss: vec![(LOAD, Loss::EveryNth(20))],
        duplicate: vec![(LOAD, Duplicate::EveryNth { n: 10, gap_ns: 100_000 })],
        ..Spec::default()
    };
    for (_, truth) in check_exact(&spec) {
        assert!(0 < truth.lost() && 0 < truth.duplicated);
    }
}

#[test]
fn duplicates_alone_are_no_loss_and_no_reordering() {
    let duplicate = Duplicate::EveryNth { n: 10, gap_ns: 100_000 };
    let spec = Spec { duplicate: vec![(LOAD, duplicate)], ..Spec::default() };
    for (row, truth) in check_exact(&spec) {
        assert_eq!(truth.duplicated, truth.offered / 10);
        assert_eq!(row.reordered_packets, Some(0));
    }
}

#[test]
fn a_lost_first_handshake_datagram_is_said_again() {
    let signals = Applies::To(Class::Signal);
    let spec = Spec { loss: vec![(signals, Loss::First(1))], ..Spec::default() };
    check_exact(&spec);
}

/// 4 Mbit/s are a packet each 3 ms: a delay of 10 ms is more than one gap.
#[test]
fn what_is_overtaken_is_reordered_and_not_lost() {
    let reorder = Reorder::Random { ratio: 0.01, extra_delay_ns: 10_000_000 };
    let spec = Spec { reorder: vec![(LOAD, reorder)], ..Spec::default() };
    for (row, truth) in check_exact(&spec) {
        assert!(0 < truth.held_back);
        // The very last packets have none behind them that could overtake.
        let reordered = row.reordered_packets.unwrap();
        assert!(
            reordered == truth.held_back || reordered + 1 == truth.held_back,
            "{} {reordered} of {}",
            row.direction,
            truth.held_back
        );
    }
}
