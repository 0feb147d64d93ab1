//! The link: its rates, and what they count.

use super::draft::Draft;
use super::fault::Place;
use super::kinds::{Name, Rate};
use super::raw::{Maybe, RawContract, RawDirection, RawLink, RawProviderTable, value};
use crate::direction::{Direction, PerDirection};
use crate::framing::Layer;
use crate::plan::{Contract, GivenKeys, Inventory, Link, ProviderContact};
use crate::units::{BitRate, BurstSize};

/// A rate, and where it is written.
pub(super) type Rated = Option<(BitRate, Place)>;

/// The rates of a link, and where each is written.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkRates {
    /// What the port carries.
    pub(super) port: Rated,
    /// What is committed.
    pub(super) committed: PerDirection<Rated>,
    /// Whether one is given and wrong, which has been reported: what is missing is then no fault.
    pub(super) is_wrong: bool,
    /// The table that they stand in, such as "link".
    pub(super) table: String,
}

/// The link that `raw` says, which stands at `place`, and the places of its rates.
pub(super) fn link(draft: &mut Draft<'_>, raw: &RawLink, place: &Place) -> (Link, LinkRates) {
    if raw.rate_layer.is_none() {
        draft.assume(&place.field("rate_layer"), "rates count Ethernet frames (L2)");
    }
    if raw.vlan_tags.is_none() {
        draft.assume(&place.field("vlan_tags"), "frames have no tag (0)");
    }
    let rates = LinkRates { table: place.name.clone(), ..rates(draft, raw) };
    let rate = |rated: &Rated| rated.as_ref().map(|(rate, _)| *rate);
    let link = Link {
        name: value(&raw.name).map(|name| name.0.clone()),
        circuit: circuit(raw),
        provider: provider(raw).and_then(|table| text(&table.name)),
        port_rate: rate(&rates.port),
        committed: PerDirection::from_fn(|direction| rate(rates.committed.get(direction))),
        burst: PerDirection::from_fn(|direction| burst(raw, direction).unwrap_or_default()),
        layer: value(&raw.rate_layer).map_or(Layer::L2, |counts| counts.0),
        vlan_tags: value(&raw.vlan_tags).map_or(0, |tags| tags.0),
        extra_overhead_octets: value(&raw.extra_overhead_bytes).map_or(0, |octets| octets.0),
        probes_per_second: None,
        watched_at: None,
        inventory: inventory(raw),
        severity: value(&raw.severity).map(|severity| severity.0).unwrap_or_default(),
        works: Vec::new(),
        given: GivenKeys {
            burst: PerDirection::from_fn(|direction| burst(raw, direction).is_some()),
            layer: raw.rate_layer.is_some(),
            vlan_tags: raw.vlan_tags.is_some(),
            extra_overhead: raw.extra_overhead_bytes.is_some(),
        },
    };
    (link, rates)
}

fn provider(raw: &RawLink) -> Option<&RawProviderTable> {
    value(&raw.provider).map(|provider| &provider.0)
}

fn text(given: &Maybe<Name>) -> Option<String> {
    value(given).map(|name| name.0.clone())
}

/// The provider's name of the circuit: the same wherever it stands.
fn circuit(raw: &RawLink) -> Option<String> {
    text(&raw.circuit).or_else(|| provider(raw).and_then(|table| text(&table.circuit)))
}

fn inventory(raw: &RawLink) -> Inventory {
    let contact = provider(raw).map(|table| ProviderContact {
        circuit: text(&table.circuit),
        test_id: text(&table.test_id),
        noc: text(&table.noc),
    });
    let contract = |contract: &RawContract| Contract {
        end: value(&contract.end).map(|day| day.0.clone()),
        lead_time_days: value(&contract.lead_time).map(|time| time.0),
    };
    let shares = value(&raw.shares).into_iter().flat_map(|list| list.whole());
    Inventory {
        role: value(&raw.role).map(|role| role.0),
        protects: value(&raw.protects).map(|name| name.0.clone()),
        members: value(&raw.members).map(|members| members.0),
        shares: shares.map(|(name, _)| name.0.clone()).collect(),
        provider_contact: contact.filter(|contact| *contact != ProviderContact::default()),
        owner: text(&raw.owner),
        contract: value(&raw.contract).map(contract).filter(|it| *it != Contract::default()),
    }
}

fn burst(raw: &RawLink, direction: Direction) -> Option<BurstSize> {
    let own = table_of(raw, direction).as_ref().and_then(|table| table.whole());
    let own = own.and_then(|(table, _)| value(&table.cbs_bytes));
    let given = own.or_else(|| value(&raw.cbs_bytes));
    given.and_then(|octets| BurstSize::new(octets.0))
}

const fn table_of(raw: &RawLink, direction: Direction) -> &Maybe<RawDirection> {
    match direction {
        Direction::Forward => &raw.forward,
        Direction::Reverse => &raw.reverse,
    }
}

fn rates(draft: &mut Draft<'_>, raw: &RawLink) -> LinkRates {
    let rated =
        |given: &Maybe<Rate>| given.as_ref()?.whole().map(|(rate, place)| (rate.0, place.clone()));
    let both = rated(&raw.rate);
    let committed = PerDirection::from_fn(|direction| {
        let table = table_of(raw, direction);
        let Some((table, place)) = table.as_ref().and_then(|table| table.whole()) else {
            return both.clone();
        };
        if table.rate.is_none() {
            draft.missing(place, "rate", "what is committed in this direction", "500 Mbit/s");
        }
        rated(&table.rate)
    });
    let is_wrong = |given: &Maybe<Rate>| given.as_ref().is_some_and(|rate| rate.value.is_none());
    let wrong_in = |table: &Maybe<RawDirection>| {
        let table = table.as_ref().map(|given| given.value.as_ref());
        table.is_some_and(|table| table.is_none_or(|table| is_wrong(&table.rate)))
    };
    let is_wrong = is_wrong(&raw.rate) || wrong_in(&raw.forward) || wrong_in(&raw.reverse);
    let port = rated(&raw.port_rate);
    LinkRates { port, committed, is_wrong, table: String::new() }
}
