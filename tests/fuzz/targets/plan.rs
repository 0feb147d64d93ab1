//! A plan's text, from anyone: what is wrong with it, or all that is shown of it before it runs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::forecast::{self, Endpoint, FirewallHosts, Forecast, nft, table};
use linkqual::plan::file::{SHOWN_MAX, read};
use std::path::Path;

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let reading = read(Path::new("plan.toml"), text);
    let (plan, assumptions) = match reading.conclude() {
        Ok(plan) => plan,
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
    assert!((1..=32).contains(&plan.sites.len()) && (1..=64).contains(&plan.tests.len()));
    // A rate may be too much for datagrams of IPv6, which are seen to only here.
    let Ok(forecast) = Forecast::of(&plan) else { return };
    assert!(forecast.sites.iter().all(|site| !site.steps.is_empty()), "each site has a test");
    _ = forecast::text(&plan, &forecast, &assumptions, None);
    let agent = ([192, 0, 2, 1], 4872).into();
    let endpoint = |place| Endpoint { place, agent, driver: None };
    let endpoints = (0..plan.sites.len()).map(endpoint).collect();
    let ways = FirewallHosts { ports: 32_768..=60_999, endpoints };
    _ = (table(&plan, &forecast, &ways, None), nft(&plan, &forecast, &ways));
});
