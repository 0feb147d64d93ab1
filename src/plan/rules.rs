//! On which terms a link may be loaded: what share of it, what ends the load, which change it
//! needs, and what it costs.

use crate::units::{Ratio, Share, Span};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// On which terms a link may be loaded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoadRules {
    /// Whether somebody uses the link, as far as the plan says so.
    pub in_service: Option<bool>,
    /// The most of the committed rate that a schedule may load a link in service with; half of it
    /// where nothing is said.
    pub share: Option<Share>,
    /// What ends a load.
    pub abort_if: Vec<AbortIf>,
    /// Whether a load rises to its rate by steps: of a link in service.
    pub ramps_in: bool,
    /// Whether a load needs a change that allows it.
    pub requires_change: bool,
    /// The change that allows scheduled loads.
    pub change: Option<String>,
    /// Whether a schedule may load while no time service keeps this host's clock.
    pub allows_unsynchronised_clock: bool,
    /// How its provider bills traffic.
    pub billing: Option<Billing>,
}

impl LoadRules {
    /// Whether users suffer where the link is overloaded: unless the plan says that nobody uses it.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        self.in_service != Some(false)
    }

    /// The most of the committed rate that a link in service is loaded with.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share.unwrap_or(Share::HALF)
    }

    /// What ends a load: what the plan says; of a link in service whose plan says nothing, the
    /// usual.
    #[must_use]
    pub fn aborts(&self) -> Vec<AbortIf> {
        if self.abort_if.is_empty() && self.is_in_service() {
            return vec![AbortIf::USUAL];
        }
        self.abort_if.clone()
    }
}

/// What ends a load within a second: any of these, on the link itself or towards a witness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AbortIf {
    /// By how much the round trip may rise above that of the idle link.
    pub rtt_rise: Option<Span>,
    /// How many of the newest probes may be lost.
    pub loss: Option<Ratio>,
    /// How much of the outgoing interface others may use.
    pub interface_utilisation: Option<Ratio>,
    /// Whose answers are looked at in the place of the agent's.
    pub witness: Option<Witness>,
}

impl AbortIf {
    /// That of a link in service whose plan says nothing: 50 ms, or 2 % of the probes.
    pub const USUAL: Self = Self {
        rtt_rise: Some(Span::from_millis(50)),
        loss: Ratio::from_ppm(20_000),
        interface_utilisation: None,
        witness: None,
    };
}

impl fmt::Display for AbortIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.witness {
            Some(witness) => format!(" of {witness}"),
            None => String::new(),
        };
        let rise = self.rtt_rise.map(|rise| format!("the RTT{of} rises by more than {rise}"));
        let loss = self.loss.map(|loss| format!("more than {loss} of the probes{of} are lost"));
        let used = self
            .interface_utilisation
            .map(|used| format!("other traffic uses more than {used} of the outgoing interface"));
        let all: Vec<String> = [rise, loss, used].into_iter().flatten().collect();
        f.write_str(&all.join(", or "))
    }
}

/// A host beside the link whose answers show whether users suffer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Witness {
    /// Where it is.
    pub address: IpAddr,
    /// The UDP port of its STAMP reflector; pinged where there is none.
    pub port: Option<u16>,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// How a provider bills traffic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Billing {
    /// The same whatever is sent.
    Flat,
    /// By the 95th percentile of 5-minute samples of a month: so much for each Mbit/s.
    Percentile(Price),
    /// By volume: so much for each GB (10^9 octets).
    Volume(Price),
}

/// A price.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Price {
    /// Millionths of a unit of the currency.
    pub millionths: u64,
    /// The currency, as the plan has it.
    pub currency: String,
}

impl Price {
    /// This price for `amount` things, in words.
    #[must_use]
    pub fn of(&self, amount: f64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a price is far below 2^52")]
        let cost = self.millionths as f64 / 1e6 * amount;
        format!("{cost:.2} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_in_service_unless_the_plan_says_no() {
        let with = |in_service| LoadRules { in_service, ..LoadRules::default() };
        assert!(with(None).is_in_service() && with(Some(true)).is_in_service());
        assert!(!with(Some(false)).is_in_service());
        assert_eq!(with(None).aborts(), [AbortIf::USUAL]);
        assert_eq!(with(Some(false)).aborts(), []);
    }

    #[test]
    fn what_ends_a_load_is_said_in_words() {
        let text = AbortIf::USUAL.to_string();
        let expected = "the RTT rises by more than 50 ms, or more than 2% of the probes are lost";
        assert_eq!(text, expected);
        let witness = Witness { address: [10, 2, 0, 9].into(), port: None };
        let loss = Ratio::from_ppm(10_000);
        let all = AbortIf { rtt_rise: None, loss, witness: Some(witness), ..AbortIf::USUAL };
        assert_eq!(all.to_string(), "more than 1% of the probes of 10.2.0.9 are lost");
    }

    #[test]
    fn a_price_is_of_an_amount() {
        let price = Price { millionths: 80_000, currency: "EUR".into() };
        assert_eq!(price.of(250.0), "20.00 EUR");
    }
}
