//! What probes show all the time: writing it, and summing it up.
//!
//! All rows have a key of their own, and are written in the place of what is there under it: what
//! was kept aside may be brought in twice. Hours and days are made anew of their minutes and hours
//! whenever one of those is written.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::writing::bound;
use crate::health::{
    Batch, HOUR_S, HOURS_DAYS, HourOfSeconds, MINUTES_DAYS, Outage, PathBatch, PathName, Period,
    SECONDS_DAYS, Way,
};
use crate::history::Cell;
use crate::stats::round_trips::RoundTrips;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use std::collections::BTreeSet;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A table of what was probed: its columns, the first of which are its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) rest: &'static [&'static str],
    /// A row takes the place of another where it has at least as much of this.
    pub(super) more: Option<&'static str>,
}

const PERIOD_KEY: &[&str] = &["path", "start_s"];

/// Behind the key: how much was watched, each way's sum, and the round trips.
const PERIOD: &[&str] = &[
    "watched_s",
    "forward_sent",
    "forward_lost",
    "forward_good_s",
    "forward_errored_s",
    "forward_unavailable_s",
    "reverse_sent",
    "reverse_lost",
    "reverse_good_s",
    "reverse_errored_s",
    "reverse_unavailable_s",
    "round_trip_sent",
    "round_trip_lost",
    "round_trip_good_s",
    "round_trip_errored_s",
    "round_trip_unavailable_s",
    "round_trips",
];

const fn of_periods(name: &'static str) -> Table {
    Table { name, key: PERIOD_KEY, rest: PERIOD, more: Some("watched_s") }
}

const PATHS: Table = Table {
    name: "probe_paths",
    key: &["path"],
    rest: &["link", "site", "probes_per_second", "seen_s"],
    more: Some("seen_s"),
};
const SECONDS: Table =
    Table { name: "probe_seconds", key: PERIOD_KEY, rest: &["classes"], more: None };
const MINUTES: Table = of_periods("probe_minutes");
const HOURS: Table = of_periods("probe_hours");
const DAYS: Table = of_periods("probe_days");
const OUTAGES: Table = Table {
    name: "probe_outages",
    key: &["path", "way", "start_s"],
    rest: &["until_s", "ended", "sent", "lost", "is_unavailability"],
    more: Some("until_s"),
};

/// Every table of what was probed.
pub(super) const PROBED: &[Table] = &[PATHS, SECONDS, MINUTES, HOURS, DAYS, OUTAGES];

impl Table {
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.key.iter().chain(self.rest).copied()
    }

    /// The names of tables and columns are this program's own.
    fn upsert(&self) -> String {
        let columns: Vec<&str> = self.columns().collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
        let set: Vec<String> = self.rest.iter().map(|it| format!("{it} = excluded.{it}")).collect();
        let name = self.name;
        let only = self.more.map(|it| format!(" WHERE excluded.{it} >= {name}.{it}"));
        format!(
            "INSERT INTO {name} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}{}",
            columns.join(", "),
            places.join(", "),
            self.key.join(", "),
            set.join(", "),
            only.unwrap_or_default()
        )
    }

    pub(super) fn select(&self) -> String {
        let columns: Vec<&str> = self.columns().collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.name)
    }
}

/// Writes a row in the place of the one that is there, if that is no newer.
pub(super) async fn write(
    connection: &mut AnyConnection,
    table: &Table,
    cells: &[Cell],
) -> sqlx::Result<()> {
    let query = sqlx::query(AssertSqlSafe(table.upsert()));
    let query = cells.iter().fold(query, bound);
    query.execute(connection).await.map(|_| ())
}

/// What a row of `table` holds.
pub(super) fn cells(table: &Table, row: &AnyRow) -> sqlx::Result<Vec<Cell>> {
    let cell = |column: &'static str| {
        Ok(match column {
            "link" | "site" | "way" | "ended" => Cell::Text(row.try_get(column)?),
            "probes_per_second" => Cell::Real(row.try_get(column)?),
            "classes" | "round_trips" => Cell::Octets(row.try_get(column)?),
            _ => Cell::Int(row.try_get(column)?),
        })
    };
    table.columns().map(cell).collect()
}

/// A path is known by a number that follows from its name, so that histories can be merged.
pub(super) fn number_of(name: &PathName) -> i64 {
    let mut digest = Sha256::new();
    digest.update(name.link.as_bytes());
    digest.update([0]);
    digest.update(name.site.as_bytes());
    let digest = digest.finalize();
    let first = digest.iter().take(8).fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
    first.cast_signed()
}

impl Store {
    /// Writes what paths came to.
    ///
    /// # Errors
    ///
    /// Where the database does not take it: then nothing of it is there.
    pub async fn record_probed(&mut self, batch: &Batch) -> Result<(), Error> {
        let place = self.place.clone();
        record(&mut self.connection, batch).await.map_err(failed_at(&place))
    }

    /// Deletes what is older at `now_s`, in seconds since 1970, than it is kept.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn expire_probed(&mut self, now_s: i64) -> Result<(), Error> {
        let place = self.place.clone();
        expire(&mut self.connection, now_s).await.map_err(failed_at(&place))
    }
}

async fn record(connection: &mut AnyConnection, batch: &Batch) -> sqlx::Result<()> {
    let mut writing = connection.begin().await?;
    for path in &batch.paths {
        record_path(&mut writing, path).await?;
    }
    writing.commit().await
}

async fn record_path(connection: &mut AnyConnection, batch: &PathBatch) -> sqlx::Result<()> {
    let PathBatch { name, probes_per_second, seen_s, rows } = batch;
    let path = number_of(name);
    let of_path = [
        Cell::Int(Some(path)),
        Cell::text(&name.link),
        Cell::text(&name.site),
        Cell::Real(Some(*probes_per_second)),
        Cell::Int(Some(*seen_s)),
    ];
    write(connection, &PATHS, &of_path).await?;
    for minute in &rows.minutes {
        write(connection, &MINUTES, &cells_of(path, minute)).await?;
    }
    for (parts, wholes, length_s) in [(&MINUTES, &HOURS, HOUR_S), (&HOURS, &DAYS, DAY_S)] {
        let start = |minute: &Period| minute.start_s - minute.start_s.rem_euclid(length_s);
        let starts: BTreeSet<i64> = rows.minutes.iter().map(start).collect();
        for start_s in starts {
            sum_up(connection, path, (parts, wholes), (start_s, length_s)).await?;
        }
    }
    for hour in &rows.hours {
        record_seconds(connection, path, hour).await?;
    }
    for outage in &rows.outages {
        write(connection, &OUTAGES, &outage_cells(path, outage)).await?;
    }
    Ok(())
}

/// Makes the row of a whole of those of its parts.
async fn sum_up(
    connection: &mut AnyConnection,
    path: i64,
    (parts, wholes): (&Table, &Table),
    (start_s, length_s): (i64, i64),
) -> sqlx::Result<()> {
    let sql = format!("{} WHERE path = $1 AND start_s >= $2 AND start_s < $3", parts.select());
    let query = sqlx::query(AssertSqlSafe(sql)).bind(path).bind(start_s).bind(start_s + length_s);
    let rows = query.fetch_all(&mut *connection).await?;
    let mut whole = Period { start_s, ..Period::default() };
    for row in &rows {
        whole.add(&period_of(row)?);
    }
    write(connection, wholes, &cells_of(path, &whole)).await
}

/// Classes of seconds; those that are there stay where nothing newer is known.
async fn record_seconds(
    connection: &mut AnyConnection,
    path: i64,
    hour: &HourOfSeconds,
) -> sqlx::Result<()> {
    let there = seconds_at(connection, path, hour.start_s).await?;
    let merged = match there {
        Some(mut there) => {
            there.merge(hour);
            there
        }
        None => hour.clone(),
    };
    let cells = [
        Cell::Int(Some(path)),
        Cell::Int(Some(hour.start_s)),
        Cell::Octets(Some(merged.to_octets())),
    ];
    write(connection, &SECONDS, &cells).await
}

async fn seconds_at(
    connection: &mut AnyConnection,
    path: i64,
    start_s: i64,
) -> sqlx::Result<Option<HourOfSeconds>> {
    let sql = "SELECT classes FROM probe_seconds WHERE path = $1 AND start_s = $2";
    let row = sqlx::query(sql).bind(path).bind(start_s).fetch_optional(connection).await?;
    let octets = row.map(|row| row.try_get::<Vec<u8>, _>("classes")).transpose()?;
    Ok(octets.and_then(|octets| HourOfSeconds::from_octets(start_s, &octets)))
}

async fn expire(connection: &mut AnyConnection, now_s: i64) -> sqlx::Result<()> {
    let paths = sqlx::query("SELECT path FROM probe_paths").fetch_all(&mut *connection).await?;
    for row in paths {
        let path: i64 = row.try_get("path")?;
        for (table, days) in [
            (&SECONDS, SECONDS_DAYS),
            (&MINUTES, MINUTES_DAYS),
            (&HOURS, HOURS_DAYS),
            (&OUTAGES, HOURS_DAYS),
        ] {
            let name = table.name;
            let sql = format!("DELETE FROM {name} WHERE path = $1 AND start_s < $2");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(path).bind(now_s - days * DAY_S);
            query.execute(&mut *connection).await?;
        }
    }
    Ok(())
}

fn cells_of(path: i64, period: &Period) -> Vec<Cell> {
    let mut cells =
        vec![Cell::Int(Some(path)), Cell::Int(Some(period.start_s)), Cell::count(period.watched_s)];
    for way in Way::ALL {
        let sum = period.sum(way);
        let counts = [sum.sent, sum.lost, sum.good_s, sum.errored_s, sum.unavailable_s];
        cells.extend(counts.map(Cell::count));
    }
    cells.push(Cell::Octets(Some(period.round_trips.to_octets())));
    cells
}

fn outage_cells(path: i64, outage: &Outage) -> Vec<Cell> {
    vec![
        Cell::Int(Some(path)),
        Cell::text(outage.way.name()),
        Cell::Int(Some(outage.start_s)),
        Cell::Int(Some(outage.until_s)),
        Cell::text(outage.end.name()),
        Cell::count(outage.sent),
        Cell::count(outage.lost),
        Cell::count(outage.is_unavailability.into()),
    ]
}

/// A row of periods.
pub(super) fn period_of(row: &AnyRow) -> sqlx::Result<Period> {
    let mut period = Period { start_s: row.try_get("start_s")?, ..Period::default() };
    period.watched_s = count(row, "watched_s")?;
    let mut columns = PERIOD.iter().skip(1);
    for way in Way::ALL {
        let sum = period.sum_mut(way);
        let counts = [
            &mut sum.sent,
            &mut sum.lost,
            &mut sum.good_s,
            &mut sum.errored_s,
            &mut sum.unavailable_s,
        ];
        for (into, column) in counts.into_iter().zip(columns.by_ref()) {
            *into = count(row, column)?;
        }
    }
    let octets: Vec<u8> = row.try_get("round_trips")?;
    // Others may write to a shared database: what is no histogram is none.
    period.round_trips = RoundTrips::from_octets(&octets).unwrap_or_default();
    Ok(period)
}

pub(super) fn count(row: &AnyRow, column: &str) -> sqlx::Result<u64> {
    let number: i64 = row.try_get(column)?;
    Ok(u64::try_from(number).unwrap_or(0))
}
