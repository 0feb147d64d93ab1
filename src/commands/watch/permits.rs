//! How things are, for the schedule: orders to stop, blackouts, and whether this host's clock is
//! kept.

use crate::account::plain;
use crate::commands::blackouts::Known;
use crate::commands::runtime::runtime;
use crate::commands::scheduling::Recurring;
use crate::commands::stopping::Stops;
use crate::history::StopOrder;
use crate::io::clock::is_kept;
use crate::io::terminal::say;
use crate::schedule::{Conditions, Schedule, Stop};
use crate::store::{Place, Store};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the files of blackouts are read again.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// How often the database is asked for orders of other hosts, and how long it may take.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Orders of other hosts, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere(watch::Receiver<Vec<StopOrder>>);

impl Elsewhere {
    /// Those in the database at `place`, which is asked again and again; none in a file, which
    /// other hosts do not have.
    pub(super) fn follow(place: &Place) -> Self {
        let (orders, known) = watch::channel(Vec::new());
        if let Place::Server(_) = place {
            let place = place.clone();
            // A database that does not answer holds up nothing.
            _ = tokio::task::spawn_blocking(move || {
                let Ok(runtime) = runtime() else { return };
                // It ends with the last of who looks.
                while !orders.is_closed() {
                    runtime.block_on(async {
                        let asked = tokio::time::timeout(ASK_AGAIN, orders_at(&place)).await;
                        // What is not known now was so before.
                        if let Ok(Ok(found)) = asked {
                            orders.send_replace(found);
                        }
                        tokio::select! {
                            () = tokio::time::sleep(ASK_AGAIN) => {}
                            () = orders.closed() => {}
                        }
                    });
                }
            });
        }
        Self(known)
    }

    /// The orders that hold.
    pub(super) fn orders(&self) -> Vec<StopOrder> {
        self.0.borrow().clone()
    }
}

async fn orders_at(place: &Place) -> Result<Vec<StopOrder>, crate::store::Error> {
    let mut store = Store::open(place).await?;
    let orders = store.stops().await?;
    store.close().await?;
    Ok(orders)
}

/// What is looked at.
#[derive(Debug)]
pub(super) struct Permits {
    stops: Stops,
    pub(super) elsewhere: Elsewhere,
    read_at: Instant,
    /// What was wrong with the blackouts when they were read last.
    fault: Option<String>,
}

impl Permits {
    pub(super) fn new(place: &Place) -> Self {
        let (stops, elsewhere) = (Stops::of_this_user(), Elsewhere::follow(place));
        Self { stops, elsewhere, read_at: Instant::now(), fault: None }
    }

    /// Says to `schedule`, which is of `links`, how things are.
    pub(super) fn look(&mut self, schedule: &mut Schedule, links: &[Recurring]) {
        let orders = self.stops.orders().into_iter().chain(self.elsewhere.orders());
        let stop = |order: StopOrder| Stop { why: order.to_string(), link: order.link };
        let stops = orders.map(stop).collect();
        schedule.set_conditions(Conditions { is_unsynchronised: !is_kept(), stops });
        if self.read_at.elapsed() < READ_AGAIN {
            return;
        }
        self.read_at = Instant::now();
        let fault = match Known::read() {
            Ok(known) => {
                schedule.set_blackouts(|scheduled| {
                    let own = links.iter().find(|link| link.scheduled.name == scheduled.name);
                    own.map_or_else(
                        || scheduled.permit.blackouts.clone(),
                        |link| known.of(&link.plan.link),
                    )
                });
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = fault.as_ref().filter(|why| Some(*why) != self.fault.as_ref()) {
            say(&plain(&format!("warning: {why}. The blackouts read before stay in use")));
        }
        self.fault = fault;
    }
}
