//! A plan's text, from anyone: what is wrong with it, or all that is shown of it before it runs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::forecast::{self, AtOnce, Endpoint, FirewallHosts, Forecast, nft, table};
use linkqual::method::schedule::{Claim, Room};
use linkqual::plan::Plan;
use linkqual::plan::file::{Assumption, SHOWN_MAX, read};
use std::path::Path;

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let reading = read(Path::new("plan.toml"), text);
    let (set, assumptions) = match reading.conclude_all() {
        Ok(set) => set,
        Err(faults) => {
            let text = faults.to_string();
            assert!(!faults.faults().is_empty(), "a plan is refused for a reason");
            assert!(text.lines().count() <= SHOWN_MAX + 1, "each fault is one line");
            _ = (faults.annotated(false), faults.annotated(true));
            let lines = text.matches('\n').count() + 1;
            let is_there = |line| (1..=lines).contains(&line);
            assert!(faults.faults().iter().all(|fault| is_there(fault.line())), "{text}");
            return;
        }
    };
    assert!((1..=64).contains(&set.plans.len()));
    set.plans.iter().for_each(|plan| one_link(plan, &assumptions));
    let forecasts = set.plans.iter().map(Forecast::of).collect::<Result<Vec<_>, _>>();
    let Ok(forecasts) = forecasts else { return };
    let claim = |plan: &Plan| Claim::of(plan, None);
    let claims = set.plans.iter().map(claim).collect();
    let room = Room { processors: 2, parallel: 2, ..Room::default() };
    let pairs: Vec<_> = set.plans.iter().zip(&forecasts).collect();
    _ = forecast::links_text(&pairs, &AtOnce { claims, room }, &assumptions, None);
});

fn one_link(plan: &Plan, assumptions: &[Assumption]) {
    assert!((1..=32).contains(&plan.sites.len()) && (1..=64).contains(&plan.tests.len()));
    // A rate may be too much for datagrams of IPv6, which are seen to only here.
    let Ok(forecast) = Forecast::of(plan) else { return };
    assert!(forecast.sites.iter().all(|site| !site.steps.is_empty()), "each site has a test");
    _ = forecast::text(plan, &forecast, assumptions, None);
    let agent = ([192, 0, 2, 1], 4872).into();
    let endpoint = |place| Endpoint { place, agent, driver: None };
    let endpoints = (0..plan.sites.len()).map(endpoint).collect();
    let ways = FirewallHosts { ports: 32_768..=60_999, endpoints };
    _ = (table(plan, &forecast, &ways, None), nft(plan, &forecast, &ways));
}
