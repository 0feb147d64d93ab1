//! Loss: UDP load packets that were lost or late, of those sent.

use super::criteria::{Criteria, Measured, account_missing, float};

use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::stats::confidence::{Bounds, bounds_of_loss};
use crate::stats::loss_bursts::LossBursts;

/// Packets that were lost on the way, for all that this tester can tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Packets that the line had to deliver: sent, less those that the receiving host dropped.
    pub offered: u64,
    /// Lost or late.
    pub lost: u64,
    /// Of the lost, those that this tester may have lost itself.
    pub doubtful: u64,
}

/// The losses of the load in `direction`; `None` where an account is missing.
#[must_use]
pub fn losses(run: &TrialRun, direction: Direction) -> Option<Losses> {
    let one_way = run.outcome.one_way(direction);
    let (sent, came) = (one_way.sender.as_ref()?, one_way.receiver.as_ref()?);
    let lost = came.losses.lost();
    let (sender, receiver) = run.outcome.hosts(direction);
    // A queue drop that the socket was told of was refused, and so never sent.
    let queue_drops = sender.map_or(0, |host| host.queue_drops).saturating_sub(sent.queue_dropped);
    let kernel_drops = receiver.map_or(0, |host| host.kernel_drops);
    let doubtful = [came.unattributed, came.lost_in_excess, queue_drops, kernel_drops];
    Some(Losses {
        offered: sent.sent.saturating_sub(came.host_dropped),
        lost,
        doubtful: doubtful.into_iter().fold(0, u64::saturating_add).min(lost),
    })
}

pub(super) fn loss(criteria: &Criteria, run: &TrialRun, direction: Direction) -> Measured {
    let one_way = run.outcome.one_way(direction);
    let Some(losses) = losses(run, direction) else { return account_missing(run, one_way) };
    let Some(came) = &one_way.receiver else { return account_missing(run, one_way) };
    bounded(criteria, losses, &came.losses)
}

/// The losses of several trials together, as those of one; `None` where none has its accounts.
#[must_use]
pub fn pooled_loss(
    criteria: &Criteria,
    runs: &[&TrialRun],
    direction: Direction,
) -> Option<Measured> {
    let (mut sum, mut bursts) = (None, LossBursts::default());
    for run in runs {
        let Some(of_run) = losses(run, direction) else { continue };
        bursts.merge(&run.outcome.one_way(direction).receiver.as_ref()?.losses);
        let before: Losses = sum.unwrap_or_default();
        sum = Some(Losses {
            offered: before.offered.saturating_add(of_run.offered),
            lost: before.lost.saturating_add(of_run.lost),
            doubtful: before.doubtful.saturating_add(of_run.doubtful),
        });
    }
    Some(bounded(criteria, sum?, &bursts))
}

fn bounded(criteria: &Criteria, losses: Losses, bursts: &LossBursts) -> Measured {
    let bounds =
        |bursts: &LossBursts| bounds_of_loss(bursts, losses.offered, criteria.confidence());
    let Some(Bounds { low, high }) = bounds(bursts) else {
        return Measured::Missing("no packet was sent".into());
    };
    let at_best = bursts.without(losses.doubtful);
    Measured::Sampled {
        value: Some(float(losses.lost) / float(losses.offered)),
        low: Some(low),
        high: Some(high),
        low_at_best: bounds(&at_best).map(|bounds| bounds.low),
        unbounded: false,
        samples: losses.offered,
    }
}
