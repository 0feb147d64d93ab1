//! What a load datagram says of itself, checked before anything is counted by it: its tag, its
//! length, its place in the schedule, and its payload.

use super::payload::{COMPARE_ALL_OCTETS, LoadPayload};
use super::{Arrived, Stream};
use crate::pace::Turns;
use crate::units::{PacketRate, Span};
use crate::wire::load::{HEADER_LEN, Header};
use crate::wire::seal::Tagger;

/// Above [`COMPARE_ALL_OCTETS`], of so many packets in a row at least one is; and one in half as
/// many, by the tag, so that no pattern of the link's keeps clear of them.
const COMPARED_OF: u32 = 64;
const COMPARED_MASK: u64 = 31;

/// Of how many packets of a stream at `rate`, with so many octets of payload, one payload is
/// compared on average: 1 where all are.
#[must_use]
pub fn compared_of(rate: PacketRate, payload: u32) -> u64 {
    let octets = rate.packets_in(Span::from_secs(1)).saturating_mul(payload.into());
    if octets <= COMPARE_ALL_OCTETS { 1 } else { COMPARED_MASK + 1 }
}

/// Checks the load datagrams of one stream.
#[derive(Debug)]
pub struct LoadCheck {
    stream: Stream,
    tagger: Tagger,
    payload: LoadPayload,
    slots: SlotCheck,
    compares_all: bool,
    /// Packets since the last whose payload was compared.
    passed: u32,
}

impl LoadCheck {
    /// Checks datagrams of `stream`, tagged with `tagger`.
    #[must_use]
    pub fn new(stream: Stream, tagger: Tagger) -> Self {
        Self {
            stream,
            tagger,
            payload: LoadPayload::new(&stream),
            slots: SlotCheck::new(&stream),
            compares_all: compared_of(stream.rate, stream.payload) == 1,
            passed: 0,
        }
    }

    /// The packet that a datagram of `len` octets is, of which `octets` were read; `None` where it
    /// is malformed: then it is no packet of the stream's.
    pub fn packet(&mut self, octets: &[u8], len: usize) -> Option<Arrived> {
        if u32::try_from(len).ok()? != self.stream.payload {
            return None;
        }
        let header = Header::parse(octets, len, &self.tagger).ok()?;
        if (header.stream, header.token) != (self.stream.number, self.stream.token) {
            return None;
        }
        let passed = self.slots.passed(header.sequence, header.due_ns)?;
        Some(Arrived {
            sequence: header.sequence,
            due_ns: header.due_ns,
            sent_ns: header.due_ns.saturating_add(header.lateness_ns.into()),
            octets: self.stream.payload,
            passed,
            is_intact: self.compare(&header, octets, len),
        })
    }

    /// Whether the payload is the one that was sent; `None` where it was not compared.
    fn compare(&mut self, header: &Header, octets: &[u8], len: usize) -> Option<bool> {
        self.passed += 1;
        let is_chosen = self.compares_all
            || COMPARED_OF <= self.passed
            || u64::from(octets[HEADER_LEN - 1]) & COMPARED_MASK == 0;
        if !is_chosen || octets.len() < len {
            return None;
        }
        self.passed = 0;
        Some(self.payload.is_intact(header.sequence, octets))
    }
}

/// The slots of the schedule that packets say they are of: the sequence counts what was sent, the
/// due time gives the slot, and the difference is what was passed over by then.
#[derive(Debug)]
struct SlotCheck {
    stream: Stream,
    /// Where the next packet in order is, and when it is due.
    next: Turn,
    turns: Turns,
    /// What was passed over before the highest number so far.
    newest: Option<Passed>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    sequence: u64,
    slot: u64,
    due_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    highest: u64,
    /// At the highest number.
    slots: u64,
    /// The lowest number that came with as many, and the highest that came with fewer before it.
    since: u64,
    before: Option<(u64, u64)>,
}

impl SlotCheck {
    fn new(stream: &Stream) -> Self {
        let mut turns = Turns::new(stream.rate, 0);
        let due_ns = turns.next().unwrap_or(0);
        let next = Turn { sequence: 0, slot: 0, due_ns };
        Self { stream: *stream, next, turns, newest: None }
    }

    /// How many slots were passed over before packet `sequence`, due at `due_ns`; `None` where that
    /// is no slot of its, or contradicts the packets before.
    fn passed(&mut self, sequence: u64, due_ns: u64) -> Option<u64> {
        let Turn { sequence: expected, slot, due_ns: expected_ns } = self.next;
        let slot = match (sequence, due_ns) == (expected, expected_ns) {
            true => slot,
            false => self.slot_of(due_ns)?,
        };
        let passed = slot.checked_sub(sequence).filter(|_| slot < self.stream.slots)?;
        if !self.agrees(sequence, passed) {
            return None;
        }
        if self.newest.is_none_or(|newest| newest.highest <= sequence) {
            self.advance(sequence, slot);
        }
        Some(passed)
    }

    /// The slot that is due then, if one is.
    fn slot_of(&self, due_ns: u64) -> Option<u64> {
        // Slots that are due before it; it is the one behind them.
        let slot = self.stream.rate.packets_in(Span::from_nanos(due_ns));
        (self.stream.rate.due(slot).nanos() == due_ns).then_some(slot)
    }

    /// Whether what was passed over neither falls as the number rises, nor rises as it falls. It
    /// takes note of a packet that does.
    fn agrees(&mut self, sequence: u64, passed: u64) -> bool {
        let Some(newest) = &mut self.newest else {
            let before = None;
            self.newest =
                Some(Passed { highest: sequence, slots: passed, since: sequence, before });
            return true;
        };
        if newest.highest == sequence {
            return passed == newest.slots;
        }
        if newest.highest < sequence {
            if passed < newest.slots {
                return false;
            }
            if newest.slots < passed {
                newest.before = Some((newest.highest, newest.slots));
                (newest.slots, newest.since) = (passed, sequence);
            }
            newest.highest = sequence;
            return true;
        }
        let least = newest.before.filter(|(highest, _)| *highest <= sequence);
        let most = newest.before.filter(|(highest, _)| sequence <= *highest);
        let is_within = most.map_or(newest.slots, |(_, slots)| slots);
        least.is_none_or(|(_, slots)| slots <= passed)
            && passed <= is_within
            && (sequence < newest.since || passed == newest.slots)
    }

    fn advance(&mut self, sequence: u64, slot: u64) {
        if (sequence, slot) != (self.next.sequence, self.next.slot) {
            self.turns = Turns::new(self.stream.rate, slot + 1);
        }
        let due_ns = self.turns.next().unwrap_or(u64::MAX);
        self.next = Turn { sequence: sequence + 1, slot: slot + 1, due_ns };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Driver, Stamp};
    use crate::direction::Direction;
    use crate::flow::{Next, Outgoing, Sender, Steady};
    use crate::trial::Dscp;
    use crate::units::PacketRate;
    use crate::wire::Token;
    use proptest::prelude::*;

    fn stream(per_second: u64, payload: u32) -> Stream {
        Stream {
            number: 1,
            token: Token(9),
            direction: Direction::Forward,
            rate: PacketRate::new(per_second).expect("a rate"),
            slots: per_second * 10,
            payload,
            train: 1,
            burst: 1,
            life: crate::flow::Liveness::default(),
            capacity: false,
            steady: Steady::of(Span::from_secs(10)),
            silence_min: crate::account::SILENCE_MIN,
            ramp: Span::default(),
            dscp: Dscp::default(),
        }
    }

    fn tagger() -> Tagger {
        Tagger::of(&[7; 32], Direction::Forward)
    }

    fn check(stream: Stream) -> LoadCheck {
        LoadCheck::new(stream, tagger())
    }

    /// The datagrams that a sender of `stream` sends one by one, as many as `count`.
    fn datagrams(stream: Stream, count: usize) -> Vec<Vec<u8>> {
        let mut payload = LoadPayload::new(&stream).for_sending(&stream);
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        let (mut now, mut sent) = (Stamp::from_nanos(0), Vec::new());
        while sent.len() < count {
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => {
                    let range = payload.load(&train, &tagger());
                    sent.push(payload.octets(range).to_vec());
                    sender.on_sent(now, 1, false);
                    sender.on_heard(now, u64::MAX, 0);
                }
                Next::Wait(until) => now = until,
                other => panic!("{other:?}"),
            }
        }
        sent
    }

    #[test]
    fn what_was_sent_is_a_packet_and_intact() {
        let stream = stream(3_333, 1_472);
        let mut check = check(stream);
        for (sequence, datagram) in (0..).zip(datagrams(stream, 1_000)) {
            let packet = check.packet(&datagram, datagram.len()).expect("a packet");
            assert_eq!(
                (packet.sequence, packet.passed, packet.is_intact),
                (sequence, 0, Some(true))
            );
            assert_eq!(packet.due_ns, stream.rate.due(sequence).nanos());
        }
    }

    #[test]
    fn no_altered_octet_is_missed() {
        let stream = stream(100, 2_500);
        let datagram = datagrams(stream, 1).remove(0);
        let mut check = check(stream);
        for place in 0..datagram.len() {
            let mut altered = datagram.clone();
            altered[place] ^= 1;
            let packet = check.packet(&altered, altered.len());
            match place < HEADER_LEN {
                true => assert_eq!(packet, None, "octet {place} of the header"),
                false => assert_eq!(packet.and_then(|it| it.is_intact), Some(false), "{place}"),
            }
        }
    }

    #[test]
    fn another_length_or_another_stream_is_malformed() {
        let stream = stream(100, 200);
        let datagram = datagrams(stream, 1).remove(0);
        assert!(check(stream).packet(&datagram[..44], 44).is_none(), "short");
        assert!(check(stream).packet(&datagram, 201).is_none(), "cut off by the buffer");
        let other = Stream { number: 2, ..stream };
        assert!(check(other).packet(&datagram, 200).is_none());
        let other = Stream { token: Token(8), ..stream };
        assert!(check(other).packet(&datagram, 200).is_none());
    }

    /// 17 000 packets per second of 1472 octets are 200 Mbit/s and a little.
    #[test]
    fn of_a_fast_stream_at_least_one_payload_in_64_is_compared() {
        let stream = stream(17_000, 1_472);
        let (mut check, mut passed, mut compared) = (check(stream), 0, 0);
        for datagram in datagrams(stream, 10_000) {
            let packet = check.packet(&datagram, datagram.len()).expect("a packet");
            passed = if packet.is_intact.is_some() { 0 } else { passed + 1 };
            compared += u32::from(packet.is_intact.is_some());
            assert!(passed < 64);
        }
        assert!((250..600).contains(&compared), "{compared} of 10000");
    }

    fn slots() -> SlotCheck {
        SlotCheck::new(&stream(1_000, 100))
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn a_packet_is_due_in_a_slot_no_earlier_than_its_number() {
        assert_eq!(slots().passed(0, 0), Some(0));
        assert_eq!(slots().passed(3, 3 * MS), Some(0));
        assert_eq!(slots().passed(3, 9 * MS), Some(6));
        assert_eq!(slots().passed(3, 2 * MS), None, "before its own slot");
        assert_eq!(slots().passed(3, 3 * MS + 1), None, "between two slots");
        assert_eq!(slots().passed(3, 9_999 * MS), Some(9_996), "the last slot");
        assert_eq!(slots().passed(3, 10_000 * MS), None, "behind the last slot");
        assert_eq!(slots().passed(3, u64::MAX), None);
    }

    #[test]
    fn what_was_passed_over_never_falls() {
        let mut slots = slots();
        assert_eq!(slots.passed(0, 0), Some(0));
        assert_eq!(slots.passed(5, 8 * MS), Some(3), "3 were skipped");
        assert_eq!(slots.passed(6, 8 * MS), None, "2 where it was 3");
        assert_eq!(slots.passed(4, 8 * MS), None, "4 where it becomes 3");
        assert_eq!(slots.passed(4, 6 * MS), Some(2), "between the two");
        assert_eq!(slots.passed(4, 7 * MS), Some(3));
        assert_eq!(slots.passed(6, 9 * MS), Some(3));
        assert_eq!(slots.passed(9, 15 * MS), Some(6));
        assert_eq!(slots.passed(7, 9 * MS), None, "2 where it was 3");
        assert_eq!(slots.passed(7, 10 * MS), Some(3));
        assert_eq!(slots.passed(5, 8 * MS), Some(3), "a copy of before that");
    }

    proptest! {
        /// Packets that a sender sent are never refused, whatever it skipped and the link did.
        #[test]
        fn what_a_sender_sends_agrees_in_any_order(
            skips in prop::collection::vec(0_u64..3, 1..80),
            order in prop::collection::vec(any::<u16>(), 80),
            per_second in 1_u64..2_000_000,
        ) {
            let stream = Stream { slots: u64::MAX, ..stream(per_second, 100) };
            let mut check = SlotCheck::new(&stream);
            let mut slot = 0;
            let mut packets: Vec<(u16, u64, u64)> = Vec::new();
            for (sequence, (skip, order)) in (0..).zip(skips.iter().zip(order)) {
                slot += skip;
                let place = order % 300 + u16::try_from(sequence).expect("few") * 3;
                packets.push((place, sequence, slot));
                slot += 1;
            }
            packets.sort_unstable();
            for (_, sequence, slot) in packets {
                let passed = check.passed(sequence, stream.rate.due(slot).nanos());
                prop_assert_eq!(passed, Some(slot - sequence));
            }
        }
    }
}
