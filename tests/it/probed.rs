//! Links that are probed all the time: what is kept of that, with SQLite and with a PostgreSQL
//! server, and what a real watch makes of it.

use crate::history::with_each;
use crate::support::{Agent, PATIENCE, Program, User, await_within, run};
use linkqual::direction::PerDirection;
use linkqual::health::{
    Batch, Carried, End, MINUTES_DAYS, PathBatch, PathName, Rollup, Second, Way,
};
use linkqual::store::spool::Spool;
use linkqual::store::{Place, Store, Watched};
use linkqual::units::Span;
use serde_json::Value;
use std::fs;

/// A full hour, in seconds since 1970.
const START_S: i64 = 1_800_000_000;

/// So many seconds with 20 probes each, of which so many are lost on the way there.
type Runs<'a> = &'a [(i64, u32)];

fn second(start_s: i64, lost: u32) -> Second {
    let forward = Some(Carried { sent: 20, lost });
    let reverse = Some(Carried { sent: 20 - lost, lost: 0 });
    Second {
        start_s,
        carried: PerDirection { forward, reverse },
        answered: forward,
        round_trips: vec![Span::from_millis(10); (20 - lost) as usize],
    }
}

/// What a watch keeps that saw these from `from_s` on, and ended.
fn batch(from_s: i64, runs: Runs<'_>) -> Batch {
    let (mut rollup, mut at_s) = (Rollup::default(), from_s);
    for (length, lost) in runs {
        for _ in 0..*length {
            rollup.on_second(&second(at_s, *lost));
            at_s += 1;
        }
    }
    let name = PathName { link: "ec-2031".into(), site: "vpc".into() };
    let rows = rollup.take(true);
    Batch { paths: vec![PathBatch { name, probes_per_second: 20.0, seen_s: at_s, rows }] }
}

/// Of the link since then: each way, seconds measured, unavailable and not measured, outages and
/// the longest.
async fn available(store: &mut Store, since_s: i64) -> Vec<(Way, u64, u64, u64, u64, i64)> {
    let wanted = Watched { link: Some("ec-2031".into()), since_s, now_s: START_S + 90_000 };
    let found = store.available(&wanted).await.unwrap();
    found
        .iter()
        .map(|it| {
            let (way, measured_s, unmeasured_s) = (it.direction, it.measured_s, it.unmeasured_s);
            let (outages, longest_s) = (it.outages, it.longest_outage_s);
            (way, measured_s, it.unavailable_s, unmeasured_s, outages, longest_s)
        })
        .collect()
}

/// Half an hour, two outages of 12 s and 3 s in it.
const HALF_AN_HOUR: Runs<'_> = &[(600, 0), (12, 20), (588, 0), (3, 15), (597, 0)];

#[test]
fn what_probes_showed_is_kept_summed_up_and_written_twice_is_there_once() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let there = batch(START_S, HALF_AN_HOUR);
        store.record_probed(&there).await.unwrap();
        let expected = [
            (Way::Forward, 1_800, 12, 0, 2, 12),
            // Nothing was sent back in the first outage; in the other one replies were few.
            (Way::Reverse, 1_788, 0, 12, 0, 0),
            (Way::RoundTrip, 1_800, 12, 0, 2, 12),
        ];
        assert_eq!(available(&mut store, START_S).await, expected);
        store.record_probed(&there).await.unwrap();
        assert_eq!(available(&mut store, START_S).await, expected);
        // From the middle of an hour on, its minutes count.
        let later = available(&mut store, START_S + 900).await;
        assert_eq!(later[0], (Way::Forward, 900, 0, 0, 1, 3));
        // The program was down for ten minutes, and goes on in the same hour and in the next.
        store.record_probed(&batch(START_S + 2_400, &[(1_800, 0)])).await.unwrap();
        let both = available(&mut store, START_S).await;
        assert_eq!(both[0], (Way::Forward, 3_600, 12, 600, 2, 12));
        let wanted = Watched { link: None, since_s: START_S, now_s: START_S + 3_600 };
        let outages = store.outages(&wanted).await.unwrap();
        let shown: Vec<_> = outages.iter().map(|it| (it.direction, it.start_s, it.end)).collect();
        let (first, second) = (START_S + 600, START_S + 1_200);
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert_eq!((shown[0].1, shown[3].1, shown[0].2), (second, first, End::Recovered));
        assert_eq!((outages[0].lost, outages[3].lost), (45, 240));
    });
}

#[test]
fn a_copy_has_what_probes_showed_and_old_minutes_go() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        store.record_probed(&batch(START_S, HALF_AN_HOUR)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut copy = Store::make(&Place::File(folder.path().join("copy.db"))).await.unwrap();
        store.copy_into(&mut copy).await.unwrap();
        let expected = available(&mut store, START_S).await;
        assert_eq!(available(&mut copy, START_S).await, expected);
        // What the copy has more of stays where it is copied into again.
        copy.record_probed(&batch(START_S, &[(1_800, 0), (60, 0)])).await.unwrap();
        let more = available(&mut copy, START_S).await;
        store.copy_into(&mut copy).await.unwrap();
        assert_eq!(available(&mut copy, START_S).await[0].1, more[0].1);
        let late_s = START_S + (MINUTES_DAYS + 1) * 86_400;
        store.expire_probed(late_s).await.unwrap();
        assert_eq!(available(&mut store, START_S).await[0].1, 1_800, "hours are kept for longer");
        assert_eq!(available(&mut store, START_S + 60).await, [], "minutes are gone");
    });
}

#[test]
fn what_was_kept_aside_is_brought_in() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"));
        let there = batch(START_S, HALF_AN_HOUR);
        spool.keep_probed(&there, START_S).unwrap();
        let brought = spool.bring_into(&mut store).await;
        assert!(brought.left.is_empty(), "{:?}", brought.left);
        assert_eq!(available(&mut store, START_S).await[0].1, 1_800);
        assert_eq!(fs::read_dir(spool.folder()).unwrap().count(), 0);
        // What is damaged stays, with the reason.
        fs::write(spool.folder().join("1-0.probed.json"), "{").unwrap();
        assert_eq!(spool.bring_into(&mut store).await.left.len(), 1);
    });
}

/// A link without a schedule is probed; its agent is killed and comes back.
#[test]
fn a_watch_probes_each_link_and_an_agent_that_is_gone_is_no_outage() {
    let agent = Agent::start();
    let user = User::new();
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    let plan = agent.keys.path("plan.toml");
    let text = format!(
        "[driver]\nkey = '{}'\n[sites.far]\nagent = '{}'\nkey = '{}'\n[links.probed]\n\
         sites = ['far']\n[[test]]\nkind = 'idle'\n[watch]\nprobes_per_second = 50\n",
        agent.keys.path("driver").display(),
        agent.address,
        agent.keys.path("agent.pub").display()
    );
    fs::write(&plan, text).unwrap();
    let watching = Program::start(&mut user.linkqual(&["watch", plan.to_str().unwrap()]));
    watching.await_said(PATIENCE, "1 links are watched");
    watching.await_said(PATIENCE, "probed to far: probing");
    // The second that is under way, and two behind it in which replies may still come.
    std::thread::sleep(std::time::Duration::from_secs(6));
    agent.program.signal("KILL");
    watching.await_said(PATIENCE, "probed to far: the host answers, but no agent");
    watching.signal("TERM");
    watching.ended(PATIENCE).expect_code(0);
    let found = await_within(PATIENCE, "it is recorded", || {
        let shown = run(&mut user.linkqual(&["availability", "--json"]));
        let found: Value = shown.expect_code(0).json();
        (found.as_array().unwrap().len() == 3).then_some(found)
    });
    for way in found.as_array().unwrap() {
        assert!(3 <= way["measured_s"].as_u64().unwrap(), "{way}");
        assert_eq!((&way["lost"], &way["unavailable_s"]), (&0.into(), &0.into()), "{way}");
        assert_eq!(way["available_percent"], 100.0, "{way}");
        assert_eq!((&way["link"], &way["is_proven"]), (&"probed".into(), &true.into()));
    }
    let shown = run(&mut user.linkqual(&["availability", "--outages"]));
    assert!(shown.out.contains("No outage is recorded"), "{}", shown.out);
}
