//! Reading the rows that a comparison needs.

use super::connection::{Store, failed_at};
use super::error::Error;
use crate::account::plain;
use crate::history::State;
use crate::history::comparison::{PastFigures, PastPath, PastRun, PastTrial};
use crate::verdict::Verdict;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// A site of a run, as it is found again in others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunSite {
    /// The link's place in the run.
    pub place: usize,
    /// The link: its name, its circuit or its agent.
    pub label: String,
    /// The site.
    pub site: String,
}

/// The runs of a site, a row for each direction of each trial; one without trials has one row.
const TRIALS: &str = "SELECT runs.run AS run, runs.started_ns AS began_ns, state, \
    run_links.place AS place, run_links.verdict AS link_verdict, trial, direction, load, status, \
    offered_bit_s, carried_bit_s, goodput_bit_s, sent, lost, loss_ratio, variation_us, \
    delay_min_us, driver_address, agent_address, agent_program, agent_key, path_mtu_octets \
    FROM run_links JOIN runs ON runs.run = run_links.run \
    LEFT JOIN run_trials ON run_trials.run = run_links.run \
    AND run_trials.place = run_links.place AND run_trials.site = run_links.site \
    LEFT JOIN run_paths ON run_paths.run = run_links.run \
    AND run_paths.place = run_links.place AND run_paths.site = run_links.site \
    WHERE label = $1 AND run_links.site = $2 AND runs.started_ns >= $3 \
    AND runs.started_ns <= $4 ORDER BY runs.started_ns, runs.run, place, trial";

impl Store {
    /// When the run called `run` began, in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn began_ns(&mut self, run: &str) -> Result<u64, Error> {
        let query = sqlx::query("SELECT started_ns FROM runs WHERE run = $1").bind(run.to_owned());
        let row = query.fetch_one(&mut self.connection).await;
        let began_ns = row.and_then(|row| row.try_get::<i64, _>("started_ns"));
        began_ns.map(|ns| u64::try_from(ns).unwrap_or(0)).map_err(failed_at(&self.place))
    }

    /// The sites of the run called `run`, in their order.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn sites(&mut self, run: &str) -> Result<Vec<RunSite>, Error> {
        let sql = "SELECT place, label, site FROM run_links WHERE run = $1 ORDER BY place, site";
        let rows = sqlx::query(sql).bind(run.to_owned()).fetch_all(&mut self.connection).await;
        let sites = rows.and_then(|rows| {
            let site = |row: &AnyRow| {
                Ok(RunSite {
                    place: place(row)?,
                    label: row.try_get("label")?,
                    site: row.try_get("site")?,
                })
            };
            rows.iter().map(site).collect()
        });
        sites.map_err(failed_at(&self.place))
    }

    /// The runs of `site` that began from `since_ns` to `until_ns`, the oldest first.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn past_runs(
        &mut self,
        site: &RunSite,
        since_ns: u64,
        until_ns: u64,
    ) -> Result<Vec<PastRun>, Error> {
        let time = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let query = sqlx::query(TRIALS)
            .bind(site.label.clone())
            .bind(site.site.clone())
            .bind(time(since_ns))
            .bind(time(until_ns));
        let rows = query.fetch_all(&mut self.connection).await.map_err(failed_at(&self.place))?;
        let mut runs: Vec<PastRun> = Vec::new();
        for row in &rows {
            add(&mut runs, row).map_err(failed_at(&self.place))?;
        }
        Ok(runs)
    }
}

/// Adds a row to the run that it is of, which is the last of `runs` unless it is a new one.
fn add(runs: &mut Vec<PastRun>, row: &AnyRow) -> sqlx::Result<()> {
    let run: String = row.try_get("run")?;
    let place = place(row)?;
    if runs.last().is_none_or(|last| last.run != run || last.place != place) {
        runs.push(past_run(run, place, row)?);
    }
    let (Some(past), Some(number)) = (runs.last_mut(), count(row, "trial")?) else { return Ok(()) };
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    if past.trials.last().is_none_or(|last| last.number != number) {
        let text = |column| row.try_get::<Option<String>, _>(column);
        past.trials.push(PastTrial {
            number,
            load: text("load")?.unwrap_or_default(),
            is_whole: text("status")?.as_deref() == Some("ok"),
            ..PastTrial::default()
        });
    }
    let Some(trial) = past.trials.last_mut() else { return Ok(()) };
    match row.try_get::<Option<String>, _>("direction")?.as_deref() {
        Some("forward") => trial.one_way.forward = Some(figures(row)?),
        Some("reverse") => trial.one_way.reverse = Some(figures(row)?),
        Some("round-trip") => trial.rtt_min_us = row.try_get("delay_min_us")?,
        _ => {}
    }
    Ok(())
}

fn past_run(run: String, place: usize, row: &AnyRow) -> sqlx::Result<PastRun> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let (state, verdict) = (text("state")?, text("link_verdict")?);
    let verdicts = [Verdict::Pass, Verdict::Inconclusive, Verdict::Invalid, Verdict::Fail];
    // A database that others write may hold what no terminal should be sent.
    let shown = |column| Ok::<_, sqlx::Error>(text(column)?.map(|text| plain(&text)));
    Ok(PastRun {
        run,
        started_ns: count(row, "began_ns")?.unwrap_or(0),
        state: State::ALL.into_iter().find(|it| Some(it.name()) == state.as_deref()),
        verdict: verdicts.into_iter().find(|it| Some(it.to_string()) == verdict),
        place,
        trials: Vec::new(),
        path: PastPath {
            driver_address: shown("driver_address")?,
            agent_address: shown("agent_address")?,
            agent_program: shown("agent_program")?,
            agent_key: shown("agent_key")?,
            mtu_octets: count(row, "path_mtu_octets")?,
        },
    })
}

fn figures(row: &AnyRow) -> sqlx::Result<PastFigures> {
    Ok(PastFigures {
        offered_bit_s: count(row, "offered_bit_s")?,
        carried_bit_s: count(row, "carried_bit_s")?,
        goodput_bit_s: count(row, "goodput_bit_s")?,
        sent: count(row, "sent")?,
        lost: count(row, "lost")?,
        loss_ratio: row.try_get("loss_ratio")?,
        jitter_us: row.try_get("variation_us")?,
    })
}

/// The link's place in its run.
fn place(row: &AnyRow) -> sqlx::Result<usize> {
    Ok(usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX))
}

/// A count; `None` where it is not known.
fn count(row: &AnyRow, column: &str) -> sqlx::Result<Option<u64>> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}
