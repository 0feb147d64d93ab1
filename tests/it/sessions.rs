//! Many sessions from one process towards one agent: the short form of `scripts/sessions.rs`.

use crate::support::{Agent, alone};
use crate::watch::Watch;
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::Identity;
use linkqual::units::{PacketRate, Span};
use std::sync::Arc;

const SESSIONS: u32 = 50;

#[test]
fn of_many_sessions_none_starves() {
    let _machine = alone();
    let agent = Agent::start();
    let run = Span::from_secs(5);
    let watch = Arc::new(Watch {
        sessions: SESSIONS,
        probes: PacketRate::new(10).unwrap(),
        duration: Span::from_secs(1),
        run,
        agent: agent.address,
        identity: Identity::new(&read_secret(&agent.keys.path("driver")).unwrap()),
        agent_key: read_public(&agent.keys.path("agent.pub")).unwrap().key(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (watched, all) = runtime.block_on(watch.watch());
    assert_eq!(watched.len(), 50, "each has ended");
    for (number, one) in watched.iter().enumerate() {
        assert!(one.failures == 0 && !one.is_starved(), "session {number}: {one:?}");
    }
    let sent: u64 = watched.iter().map(|one| one.sent).sum();
    let late: u64 = watched.iter().map(|one| one.late).sum();
    assert_eq!(all.total() + late, sent, "each that left in time came back, or is lost");
}
