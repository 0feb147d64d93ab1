//! A packet as the line sees it: its class, and what becomes of it.

/// What a packet is for: an impairment may touch one kind only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Traffic that fills the line.
    Load,
    /// Packets that measure.
    Probe,
    /// Handshake, heartbeat, and control datagrams.
    Signal,
}

impl Class {
    /// Every class there is.
    pub const ALL: [Self; 3] = [Self::Load, Self::Probe, Self::Signal];
}

/// Which packets an impairment may touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applies {
    /// Each packet.
    ToAll,
    /// The packets of one class; no other takes a turn or throws the dice.
    To(Class),
}

impl Applies {
    pub(super) fn covers(self, class: Class) -> bool {
        match self {
            Self::ToAll => true,
            Self::To(only) => only == class,
        }
    }
}

/// Why a packet never arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Longer than the MTU.
    TooBig,
    /// Struck by a rule of loss other than an outage.
    Rule,
    /// Offered during an outage.
    Outage,
    /// Above the committed rate.
    Policed,
    /// No room in the queue.
    QueueFull,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It arrived.
    Delivered,
    /// It arrived, but was held back by a rule; whether others overtook it is up to their spacing.
    HeldBack,
    /// It never arrived.
    Lost(Cause),
}

/// When a packet arrives: never if lost, twice if duplicated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deliveries {
    fate: Fate,
    // Both hold a time; `count` says how many of them are meant.
    arrivals_ns: [u64; 2],
    count: usize,
}

impl Deliveries {
    /// What became of the packet; lost if and only if there are no arrivals.
    #[must_use]
    pub const fn fate(&self) -> Fate {
        self.fate
    }

    /// Arrival times in nanoseconds: none, one or two, never decreasing, none before the offer.
    #[must_use]
    pub fn arrivals_ns(&self) -> &[u64] {
        &self.arrivals_ns[..self.count]
    }

    pub(super) const fn lost(cause: Cause) -> Self {
        Self { fate: Fate::Lost(cause), arrivals_ns: [0; 2], count: 0 }
    }

    pub(super) fn arrived(fate: Fate, first_ns: u64, gap_ns: Option<u64>) -> Self {
        let second_ns = first_ns.saturating_add(gap_ns.unwrap_or(0));
        let count = if gap_ns.is_some() { 2 } else { 1 };
        Self { fate, arrivals_ns: [first_ns, second_ns], count }
    }
}
