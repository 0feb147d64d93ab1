//! Runs held against those before them: by the rows of either database, and by the program.

use crate::history::with_each;
use crate::support::{User, run};
use linkqual::history::comparison::{
    Baseline, Comparing, Finding, Outcome, Quantity, ROLLING_NS, SiteCompared,
};
use linkqual::history::{Entry, Kept, NANOS_PER_DAY, State};
use linkqual::report::{LayerRates, Report, date};
use linkqual::stats::delays::Delays;
use linkqual::store::{RunSite, Store};
use linkqual::verdict::Verdict;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const SOUND: &str = include_str!("golden/v3/sound.json");

/// When the first run began: 2026-09-01.
const BEGIN: u64 = 1_788_220_800_000_000_000;

/// The site of all runs below.
const SITE: &str = "the demo's agent";

/// A run of the day `day`, whose round trip is `more_us` longer, and whose load of 20 Mbit/s was
/// carried but for `missing` percent.
fn run_of(day: u64, more_us: u32, missing: u64) -> Report {
    let mut report = Report::parse(SOUND).unwrap();
    report.run = format!("{day:04x}").repeat(8);
    let began_ns = BEGIN + day * NANOS_PER_DAY;
    (report.started_at, report.ended_at) = (date(began_ns), date(began_ns + 60_000_000_000));
    for trial in &mut report.links[0].sites[0].trials {
        // Some 10 us from run to run.
        let more_us = more_us + u32::try_from(day % 4).unwrap() * 10;
        let rtt = trial.figures.rtt_us.as_mut().unwrap();
        rtt.min = rtt.min.map(|min| min + f64::from(more_us));
        let mut delays = Delays::default();
        for probe in 0..1_000_u32 {
            let us = 10_100 + more_us + probe % 100 * 10;
            delays.record(u64::from(us) * 1_000);
        }
        trial.outcome.round_trip.delays = delays;
        for figures in [&mut trial.figures.forward, &mut trial.figures.reverse] {
            let Some(offered) = figures.offered_bit_s else { continue };
            let carried = |of: u64| of - of * missing / 100;
            figures.goodput_bit_s = Some(carried(offered));
            let l2_bit_s = carried(offered + offered / 32);
            figures.carried = Some(LayerRates { l2_bit_s, ..LayerRates::default() });
        }
    }
    report
}

fn kept(report: &Report) -> Kept {
    Kept::of(Entry::imported(report, report.started_ns().unwrap()).unwrap(), report)
}

/// What `run` shows against those before it, by what `store` has.
async fn compared(store: &mut Store, run: &Report, baseline: Baseline) -> SiteCompared {
    let site = RunSite { place: 0, label: "demo".into(), site: SITE.into() };
    assert_eq!(store.sites(&run.run).await.unwrap(), std::slice::from_ref(&site));
    let began_ns = store.began_ns(&run.run).await.unwrap();
    assert_eq!(Some(began_ns), run.started_ns());
    let past = store.past_runs(&site, 0, began_ns).await.unwrap();
    let (own, others): (Vec<_>, Vec<_>) = past.into_iter().partition(|past| past.run == run.run);
    let [own] = own.try_into().unwrap();
    let mut comparing = Comparing::new(&site.label, &site.site, own, others, baseline);
    for run in comparing.documents() {
        let report = store.report(&run).await.unwrap();
        comparing.take(&run, &report);
    }
    comparing.conclude()
}

/// What is shown of each quantity that is not the same, or of which too little is known.
fn shown(site: &SiteCompared) -> Vec<String> {
    let other = site.compared.iter().filter(|it| it.result != Finding::Same);
    let direction = |it: &linkqual::history::comparison::Compared| {
        it.direction.map_or_else(|| "path".to_owned(), |direction| direction.to_string())
    };
    other
        .map(|it| {
            let load = it.load.as_deref().unwrap_or("-");
            format!("{} {load} {}: {:?}", direction(it), it.quantity.name(), it.result)
        })
        .collect()
}

#[test]
fn a_run_is_held_against_the_runs_of_its_link_in_the_days_before_it() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let rolling = || Baseline::Rolling(ROLLING_NS);
        for day in 0..12 {
            store.record(&kept(&run_of(day, 0, 0))).await.unwrap();
        }
        // Runs that say nothing of the link would change it all.
        for (day, state, verdict) in
            [(12, State::Ok, Verdict::Invalid), (13, State::Aborted, Verdict::Pass)]
        {
            let mut report = run_of(day, 50_000, 50);
            report.findings[0].verdict = verdict;
            let mut kept = kept(&report);
            kept.entry.state = state;
            store.record(&kept).await.unwrap();
        }
        let same = run_of(14, 0, 0);
        store.record(&kept(&same)).await.unwrap();
        let site = compared(&mut store, &same, rolling()).await;
        assert_eq!(shown(&site), [""; 0]);
        assert_eq!(site.baseline_runs, 12);
        let out: Vec<_> =
            site.left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
        assert_eq!(out, ["1 INVALID", "1 aborted"]);
        // Each of two runs is 1 ms longer, and carries 5 % less.
        let first = run_of(15, 1_000, 5);
        store.record(&kept(&first)).await.unwrap();
        let once = compared(&mut store, &first, rolling()).await;
        let expected = |word: &str| {
            ["round-trip idle RTT floor", "forward udp carried rate", "reverse udp carried rate"]
                .map(|what| format!("{what}: {word}"))
        };
        assert_eq!(shown(&once), expected("WorseOnce"));
        let second = run_of(16, 1_000, 5);
        store.record(&kept(&second)).await.unwrap();
        let site = compared(&mut store, &second, rolling()).await;
        assert_eq!(shown(&site), expected("Worse"));
        let floor = site.compared.iter().find(|it| it.quantity == Quantity::RttFloor).unwrap();
        let (low, high) = (floor.difference_low.unwrap(), floor.difference_high.unwrap());
        assert!(900.0 < low && low < 1_000.0 && high < 1_100.0, "{floor:?}");
        let changed = &floor.changes;
        assert_eq!((changed.len(), &changed[0].run), (1, &first.run));
        assert_eq!(changed[0].started_at, first.started_at);
    });
}

/// The pooled histograms decide, with the spread from run to run.
#[test]
fn percentiles_of_the_round_trip_are_compared_by_their_histograms() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        for day in 0..14 {
            store.record(&kept(&run_of(day, 0, 0))).await.unwrap();
        }
        for day in 14..16 {
            store.record(&kept(&run_of(day, 8_000, 0))).await.unwrap();
        }
        let latest = run_of(15, 8_000, 0);
        let site = compared(&mut store, &latest, Baseline::Rolling(ROLLING_NS)).await;
        let idle = |quantity| {
            let load = Some("idle".to_owned());
            let mut all = site.compared.iter();
            all.find(|it| it.quantity == quantity && it.load == load).unwrap().clone()
        };
        let median = idle(Quantity::RttP50);
        assert_eq!(median.result, Finding::Worse, "{median:?}");
        // 12 runs of 1000 probes from 10.1 ms in steps of 10 us, and 0 to 30 us more.
        assert!((median.baseline.unwrap() - 10_605.0).abs() < 15.0, "{median:?}");
        assert!((median.value - 18_620.0).abs() < 20.0, "{median:?}");
        let width = median.baseline_high.unwrap() - median.baseline_low.unwrap();
        assert!(0.0 < width && width < 40.0, "{median:?}");
        assert_eq!(idle(Quantity::RttP99).result, Finding::Worse);
    });
}

#[test]
fn too_few_runs_show_nothing_and_one_run_may_be_held_against_another() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let (first, second) = (run_of(0, 0, 0), run_of(1, 5_000, 50));
        for report in [&first, &second] {
            store.record(&kept(report)).await.unwrap();
        }
        let site = compared(&mut store, &second, Baseline::Rolling(ROLLING_NS)).await;
        assert!(site.compared.iter().all(|it| it.result == Finding::TooFew), "{site:?}");
        let note = site.compared[0].note.as_deref().unwrap();
        assert_eq!(note, "12 earlier runs like it are needed, and 1 are there");
        let site = compared(&mut store, &second, Baseline::Run(first.run.clone())).await;
        assert!(
            shown(&site).contains(&"forward udp carried rate: Worse".to_owned()),
            "{:?}",
            shown(&site)
        );
        assert!(shown(&site).contains(&"round-trip idle RTT floor: Worse".to_owned()));
    });
}

/// A history with runs of so many days, the last two of which are `more_us` longer.
fn recorded(days: u64, more_us: u32) -> (User, TempDir) {
    let (user, folder) = (User::new(), tempfile::tempdir().unwrap());
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    for day in 0..days {
        let more_us = if day + 2 < days { 0 } else { more_us };
        save(folder.path(), &run_of(day, more_us, 0));
    }
    let here = folder.path().to_str().unwrap();
    run(&mut user.linkqual(&["history", "import", here])).expect_code(0);
    (user, folder)
}

fn save(folder: &Path, report: &Report) {
    let folder = folder.join(&report.run);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("report.json"), report.to_json()).unwrap();
}

/// Writes over the report of the run called `name`.
fn damage(history: &Path, name: &str) {
    use sqlx::Connection as _;
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = format!("sqlite://{}", history.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let sql = "UPDATE documents SET gzip = x'00' WHERE run = $1";
        let done = sqlx::query(sql).bind(name).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        connection.close().await.unwrap();
    });
}

#[test]
fn the_exit_code_says_whether_something_is_worse() {
    let (user, _folder) = recorded(15, 1_000);
    let compare =
        |run_name: &str, args: &[&str]| run(user.linkqual(&["compare", run_name]).args(args));
    let (latest, before, earlier) = ("000e000e", "000c000c", "000a000a");
    let worse = compare(latest, &[]);
    worse.expect_code(1);
    for words in [
        "demo (the demo's agent): 14 runs in the baseline",
        "RTT floor",
        "WORSE",
        "worse since run 000d000d000d000d of 2026-09-14 00:00 UTC: 10.09 ms before it, 11.09 ms",
        "all that was offered was carried: this is not the capacity",
        "Shown to be worse: see WORSE above.",
    ] {
        assert!(worse.out.contains(words), "{words}: {}", worse.out);
    }
    let same = compare(before, &[]);
    assert!(same.expect_code(0).out.contains("Nothing is shown to be worse."), "{}", same.out);
    let few = compare(earlier, &[]);
    let needed =
        few.expect_code(3).out.matches("12 earlier runs like it are needed, and 10").count();
    assert_eq!(needed, 1, "said once for all rows: {}", few.out);
    let json = compare(latest, &["--format", "json"]);
    let json: Value = serde_json::from_str(&json.expect_code(1).out).unwrap();
    assert_eq!(json["result"], serde_json::to_value(Outcome::Worse).unwrap());
    assert_eq!(json["sites"][0]["link"], "demo");
    let csv = compare(latest, &["--format", "csv"]);
    let lines = csv.expect_code(1).out.lines().collect::<Vec<_>>();
    assert!(lines[0].starts_with("run,started_at,link,site,direction,load,"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("rtt_floor,us,") && line.contains(",worse,")));
    let one = compare(latest, &["--baseline", before]);
    assert!(one.expect_code(1).out.contains("compared with run 000c000c"), "{}", one.out);
    compare(latest, &["--baseline", "ffff"]).expect_error(2, &["no run in the history"]);
    let short = compare(latest, &["--baseline", "36h"]);
    assert!(
        short.expect_code(3).out.contains("compared with the 36 hours before it"),
        "{}",
        short.out
    );
    // What is damaged before it costs the distributions of that run alone; of itself, all.
    let history = user.data().join("linkqual/history.db");
    damage(&history, &"0003".repeat(8));
    let damaged = compare(latest, &[]);
    assert!(damaged.expect_code(1).out.contains("14 runs in the baseline"), "{}", damaged.out);
    let note = "note: its delays are not compared: run 00030003000300030003000300030003 in the";
    assert!(damaged.err.contains(note), "{}", damaged.err);
    damage(&history, &"000e".repeat(8));
    compare(latest, &[]).expect_error(4, &["run 000e000e000e000e000e000e000e000e in the history"]);
}
