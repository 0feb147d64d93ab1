//! `linkqual alerts` and `linkqual ack`.

use super::delivery::{Post, settings};
use super::error::Error;
use super::health::now_s;
use super::history::opened;
use super::runtime::runtime;
use crate::account::plain;
use crate::alerting::{Alert, Notice, Occasion, alertmanager, webhook};
use crate::alerting::{KeptAlerts, Receiver};
use crate::cli::{AckArgs, AlertsArgs, AlertsCommand};
use crate::history::{Cell, Row};
use crate::io::clock::{utc_offset_s, wall_ns};
use crate::io::terminal::{columns, print};
use crate::io::user_folders::user_name;
use std::process::ExitCode;

/// The longest that an alert may be acknowledged for: a month.
const ACKNOWLEDGED_S_MAX: i64 = 31 * 86_400;

/// `linkqual alerts`.
///
/// # Errors
///
/// Where there is no history, or it cannot be read; where a receiver does not take the test.
pub(super) fn alerts(args: &AlertsArgs) -> Result<ExitCode, Error> {
    if let Some(AlertsCommand::Test) = args.command {
        return test();
    }
    let since_s = args.since.map_or(i64::MAX / 2_000_000_000, |since| {
        i64::try_from(since.ns(wall_ns()) / 1_000_000_000).unwrap_or(0)
    });
    let alerts = runtime()?.block_on(async {
        let found = opened(&args.place).await?.alerts(since_s).await?;
        Ok::<_, Error>(KeptAlerts(found))
    })?;
    print(&if args.json { alerts.json() } else { alerts.text(columns()) })?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a test to each receiver, and says what became of it.
fn test() -> Result<ExitCode, Error> {
    let Some(settings) = settings()?.filter(|settings| !settings.receivers.is_empty()) else {
        let what = "no receiver is configured: name one in alerts.toml (linkqual help health)";
        return Err(Error::Links(what.to_owned()));
    };
    let (at_s, watch) = (now_s(), super::delivery::watch_name());
    let notice = Notice { occasion: Occasion::Test, at_s, alert: Alert::test(at_s), remark: None };
    let mut failed = false;
    runtime()?.block_on(async {
        for receiver in &settings.receivers {
            let json = match receiver {
                Receiver::Alertmanager { .. } => {
                    let open = std::iter::once(&notice.alert);
                    alertmanager(open, std::iter::empty(), &watch, at_s)
                }
                _ => webhook(&notice, &watch),
            };
            let sent = match Post::of(receiver) {
                Ok(post) => post.send(&json).await,
                Err(why) => Err(why),
            };
            failed |= sent.is_err();
            let text = match sent {
                Ok(()) => "took the test".to_owned(),
                Err(why) => format!("did not take the test: {why}"),
            };
            print(&plain(&format!("{}: {text}", receiver.name())))?;
            print("\n")?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(ExitCode::from(u8::from(failed)))
}

/// `linkqual ack`.
///
/// # Errors
///
/// Where there is no such alert, or the history cannot be read or written.
pub(super) fn acknowledge(args: &AckArgs) -> Result<ExitCode, Error> {
    let at_s = now_s();
    let until_s = args.until.seconds(at_s, at_s, |at_s| utc_offset_s(at_s).map_or(0, i64::from));
    if until_s <= at_s || at_s + ACKNOWLEDGED_S_MAX < until_s {
        let what = "--until: a time in the next 31 days is allowed, such as 8h or 2d";
        return Err(Error::Links(what.to_owned()));
    }
    let owner = args.owner.clone().or_else(user_name).unwrap_or_else(|| "somebody".to_owned());
    let text = runtime()?.block_on(async {
        let mut store = opened(&args.place).await?;
        let open = store.alerts(i64::MAX / 2_000_000_000).await?;
        let meant: Vec<_> = open.iter().filter(|it| it.id.starts_with(&args.alert)).collect();
        let [alert] = meant.as_slice() else {
            let what = if meant.is_empty() { "no open alert" } else { "more than one open alert" };
            let what = format!("{what} is called '{}': linkqual alerts lists them", args.alert);
            return Err(Error::Links(what));
        };
        let time = |at_s: i64| Cell::Int(Some(at_s.saturating_mul(1_000_000_000)));
        let row = Row::new(
            "acknowledgements",
            vec![
                ("alert", Cell::text(&alert.id)),
                ("at_ns", time(at_s)),
                ("owner", Cell::text(&owner)),
                ("until_ns", time(until_s)),
                ("by_user", Cell::Text(user_name())),
                ("changed_ns", time(at_s)),
            ],
        );
        store.put(&[row]).await?;
        let until = jiff::Timestamp::from_second(until_s).unwrap_or(jiff::Timestamp::MAX);
        let title = &alert.title;
        Ok(format!("{owner} takes care of {} until {until}: {title}\n", alert.id))
    })?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
