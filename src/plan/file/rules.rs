//! On which terms the plan lets its links be loaded.

use super::draft::Draft;
use super::kinds::BillingModel;
use super::link::LinkRates;
use super::raw::{
    Given, Maybe, RawAbort, RawAborts, RawBilling, RawLink, RawPlan, RawSchedule, value,
};
use super::test::Offering;
use crate::plan::{AbortIf, Billing, Link, LoadRules, Price};

/// The most conditions that end a load.
const ABORTS_MAX: usize = 16;

/// The terms of a link, which `raw` says, in a plan of `of_all`; `schedule` is its own or that of
/// all.
pub(super) fn rules(
    draft: &mut Draft<'_>,
    of_all: &RawPlan,
    raw: &RawLink,
    schedule: &Maybe<RawSchedule>,
) -> LoadRules {
    let abort_if = if raw.abort_if.is_some() { &raw.abort_if } else { &of_all.abort_if };
    let billed = if raw.billing.is_some() { &raw.billing } else { &of_all.billing };
    let schedule = value(schedule);
    let change = schedule.and_then(|schedule| value(&schedule.change));
    let allows = schedule.and_then(|schedule| value(&schedule.allow_unsynchronised_clock));
    LoadRules {
        in_service: value(&raw.in_service).copied(),
        share: schedule.and_then(|schedule| value(&schedule.share)).map(|share| share.0),
        abort_if: aborts(draft, abort_if),
        ramps_in: false,
        requires_change: value(&raw.require_change).copied().unwrap_or(false),
        change: change.map(|change| change.0.clone()),
        allows_unsynchronised_clock: allows.copied().unwrap_or(false),
        billing: billing(draft, billed),
    }
}

fn aborts(draft: &mut Draft<'_>, given: &Maybe<RawAborts>) -> Vec<AbortIf> {
    let Some((RawAborts(entries), place)) = given.as_ref().and_then(Given::whole) else {
        return Vec::new();
    };
    if ABORTS_MAX < entries.len() {
        let what = format!("{} of them: at most {ABORTS_MAX} are allowed", entries.len());
        draft.fault(place, what);
    }
    entries.iter().filter_map(|given| abort(draft, given)).collect()
}

fn abort(draft: &mut Draft<'_>, given: &Given<RawAbort>) -> Option<AbortIf> {
    let (raw, place) = given.whole()?;
    let abort = AbortIf {
        rtt_rise: value(&raw.rtt_rise).map(|rise| rise.0),
        loss: value(&raw.loss).map(|loss| loss.0),
        interface_utilisation: value(&raw.interface_utilisation).map(|used| used.0),
        witness: value(&raw.witness).map(|witness| witness.0),
    };
    let is_given = raw.rtt_rise.is_some() || raw.loss.is_some();
    if !is_given && raw.interface_utilisation.is_none() {
        let what = "says nothing that ends a load: give rtt_rise, loss or interface_utilisation, \
                    such as rtt_rise = \"20 ms\"";
        draft.fault(place, what);
    }
    if let Some(witness) = raw.witness.as_ref().filter(|_| !is_given) {
        let what = "what is expected of it is missing: rtt_rise = \"20 ms\" or loss = \"1%\"";
        draft.fault(&witness.place, what);
    }
    Some(abort)
}

fn billing(draft: &mut Draft<'_>, given: &Maybe<RawBilling>) -> Option<Billing> {
    let (raw, place) = given.as_ref().and_then(Given::whole)?;
    if raw.model.is_none() {
        draft.missing(place, "model", "how traffic is billed: flat, p95 or volume", "p95");
    }
    let model = value(&raw.model)?.0;
    let prices = [
        ("price_per_gb", &raw.price_per_gb, BillingModel::Volume),
        ("price_per_mbit_s_month", &raw.price_per_mbit_s_month, BillingModel::P95),
    ];
    let mut price = None;
    for (key, amount, of) in prices {
        match amount {
            Some(given) if of != model => {
                draft.fault(&given.place, "belongs to another model of billing");
            }
            None if of == model => {
                let what = "is missing: the price that this model bills by, such as 0.08";
                draft.fault(&place.field(key), what);
            }
            other => price = price.or(value(other)),
        }
    }
    if model == BillingModel::Flat {
        return Some(Billing::Flat);
    }
    if raw.currency.is_none() {
        draft.missing(place, "currency", "what the price is in", "EUR");
    }
    let currency = value(&raw.currency)?.0.clone();
    let price = Price { millionths: price?.0, currency };
    Some(match model {
        BillingModel::P95 => Billing::Percentile(price),
        _ => Billing::Volume(price),
    })
}

/// Reports each test that a schedule may not load a link in service with.
pub(super) fn within_share(
    draft: &mut Draft<'_>,
    rules: &LoadRules,
    (link, rates): (&Link, &LinkRates),
    offerings: &[Offering],
) {
    if !rules.is_in_service() || rates.is_wrong {
        return;
    }
    let share = rules.share();
    for Offering { direction, rate, place, .. } in offerings {
        let Some(most) = rules.most(link, *direction) else {
            let what = format!(
                "a schedule loads a link in service with {share} of its committed rate at most, \
                 and none is committed {direction}: give {table}.rate, or give the link in_service \
                 = false if nobody uses it",
                table = rates.table
            );
            draft.fault(place, what);
            continue;
        };
        let asked = match rate {
            Some(rate) if *rate <= most => continue,
            Some(rate) => format!("{rate} {direction}"),
            None => format!("as fast as possible {direction}"),
        };
        let what = format!(
            "{asked} is too much for a link in service: a schedule may load it with at most {most} \
             ({share} of the committed rate). Test at that rate or less, raise share in its \
             schedule, or give the link in_service = false if nobody uses it"
        );
        let committed = rates.committed.get(*direction).as_ref();
        let fault = draft.fault(place, what);
        if let Some((_, at)) = committed {
            fault.beside(at, "the committed rate");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{read, read_to_judge};
    use crate::plan::{AbortIf, Billing, Plan, Price, Witness};
    use crate::units::Ratio;
    use std::path::Path;

    const ENDS: &str = "[sites.vpc]\nagent = '10.0.0.7:99'\n";
    const LINK: &str = "[link]\nrate = '100 Mbit/s'\n";
    const RULE: &str = "[schedule]\ncron = '30 2 * * *'\nzone = 'Asia/Shanghai'\nwindows = \
                        ['01:00-05:00']\n";

    fn udp(rate: &str) -> String {
        format!("[[test]]\nkind = 'udp'\nrate = '{rate}'\n")
    }

    fn faults_of(text: &str) -> String {
        let read = read(Path::new("plan.toml"), &format!("{ENDS}{text}")).conclude_all();
        read.map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    fn taken(text: &str) -> Plan {
        let read = read(Path::new("plan.toml"), &format!("{ENDS}{text}")).conclude();
        read.unwrap_or_else(|faults| panic!("{faults}")).0
    }

    #[test]
    fn a_schedule_loads_a_link_in_service_with_a_share_of_it() {
        for (rate, more) in [("50%", ""), ("50 Mbit/s", ""), ("80%", "share = '80%'\n")] {
            let text = format!("{}{LINK}{RULE}{more}", udp(rate));
            assert_eq!(faults_of(&text), "", "{rate}");
        }
        let found = faults_of(&format!("{}{LINK}{RULE}", udp("51%")));
        let expected = "test[0].rate = '51%': 51 Mbit/s forward is too much for a link in service: \
                        a schedule may load it with at most 50 Mbit/s (50% of the committed rate)";
        assert!(found.contains(expected), "{found}");
        let found = faults_of(&format!("{}{LINK}{RULE}", udp("max")));
        assert!(found.contains("as fast as possible forward is too much"), "{found}");
        let text = format!("{}{LINK}in_service = false\n{RULE}", udp("max"));
        assert_eq!(faults_of(&text), "", "nobody uses it");
        assert_eq!(faults_of(&format!("{}{LINK}", udp("100%"))), "", "there is no schedule");
        let found = faults_of(&format!("{}{RULE}share = '101%'\n", udp("1 Mbit/s")));
        assert!(found.contains("at most 100% is allowed"), "{found}");
        let found = faults_of(&format!("{}{RULE}", udp("1 Mbit/s")));
        assert!(found.contains("none is committed forward: give link.rate"), "{found}");
    }

    #[test]
    fn what_ends_a_load_is_read() {
        let text = "[[abort_if]]\nrtt_rise = '20 ms'\nloss = '1%'\nwitness = '10.2.0.9:862'\n\
                    [[abort_if]]\ninterface_utilisation = '80%'\n";
        let plan = taken(&format!("{}{text}", udp("1 Mbit/s")));
        let witness = Witness { address: [10, 2, 0, 9].into(), port: Some(862) };
        let first = AbortIf {
            rtt_rise: "20 ms".parse().ok(),
            loss: Ratio::from_ppm(10_000),
            interface_utilisation: None,
            witness: Some(witness),
        };
        assert_eq!(plan.rules.abort_if[0], first);
        assert_eq!(plan.rules.abort_if[1].interface_utilisation, Ratio::from_ppm(800_000));
        assert_eq!(plan.rules.aborts().len(), 2, "and not the usual");
    }

    #[test]
    fn the_terms_of_a_link_stand_in_the_place_of_those_of_all() {
        let text = "[require]\npath_mtu = '>= 1500'\n[[abort_if]]\nloss = '1%'\n[billing]\n\
                    model = 'flat'\n[links.a]\nrequire_change = true\n[[links.a.abort_if]]\n\
                    loss = '5%'\n[links.a.billing]\nmodel = 'volume'\nprice_per_gb = 0.08\n\
                    currency = 'EUR'\n[links.b]\n";
        let read = read_to_judge(Path::new("plan.toml"), text).conclude_all();
        let plans = read.unwrap_or_else(|faults| panic!("{faults}")).0.plans;
        let loss = |plan: &Plan| plan.rules.abort_if[0].loss;
        assert_eq!(loss(&plans[0]), Ratio::from_ppm(50_000));
        assert_eq!(loss(&plans[1]), Ratio::from_ppm(10_000));
        let price = Price { millionths: 80_000, currency: "EUR".into() };
        assert_eq!(plans[0].rules.billing, Some(Billing::Volume(price)));
        assert_eq!(plans[1].rules.billing, Some(Billing::Flat));
        assert!(plans[0].rules.requires_change && !plans[1].rules.requires_change);
    }

    #[test]
    fn terms_that_say_nothing_or_too_much_are_reported() {
        for (text, what) in [
            ("[[abort_if]]\n", "abort_if[0]: says nothing that ends a load"),
            ("[[abort_if]]\nwitness = '10.2.0.9'\n", "what is expected of it is missing"),
            ("[[abort_if]]\nloss = '0%'\n", "0% would end each load"),
            ("[[abort_if]]\nrtt_rise = '0 ms'\n", "more than 0 ms and at most 10 s is allowed"),
            ("[[abort_if]]\nloss = '1%'\nwitness = 'x'\n", "not an IP address, such as"),
            ("[billing]\nmodel = 'p95'\n", "billing.price_per_mbit_s_month: is missing"),
            ("[billing]\nmodel = 'flat'\nprice_per_gb = 1\n", "belongs to another model"),
            ("[billing]\nmodel = 'volume'\nprice_per_gb = 1\n", "billing.currency: is missing"),
            ("[billing]\nmodel = 'volume'\nprice_per_gb = -1\n", "not a price: from 0 to"),
            ("[billing]\nmodel = 'free'\n", "flat (the same whatever is sent), p95"),
        ] {
            let found = faults_of(&format!("{}{text}", udp("1 Mbit/s")));
            assert!(found.contains(what), "{what}: {found}");
        }
    }
}
