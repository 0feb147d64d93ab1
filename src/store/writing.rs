//! Writing runs, and taking them out.

use super::connection::{Store, failed_at};
use super::document::Document;
use super::error::Error;
use crate::history::{
    Cell, Kept, NANOS_PER_DAY, PEOPLE_DAYS, Row, SCHEDULED_DAYS, State, TABLES, Table,
};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection as _, Row as _};

/// Something that was done to runs, by whom and why.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What: delete, redact, or expire.
    pub action: &'static str,
    /// The user of the system.
    pub by_user: Option<String>,
    /// As given.
    pub reason: Option<String>,
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
}

/// What a run lost of its age.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expired {
    /// Runs that were deleted.
    pub runs: u64,
    /// Runs whose people were.
    pub people: u64,
}

impl Store {
    /// Writes `kept`; true where it took its place, false where what is there is newer.
    ///
    /// # Errors
    ///
    /// Where the database does not take it: then nothing of it is there.
    pub async fn record(&mut self, kept: &Kept) -> Result<bool, Error> {
        let place = self.place.clone();
        record(&mut self.connection, kept).await.map_err(failed_at(&place))
    }

    /// Deletes the run called `run`, and leaves a row of `audit` that says so.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn delete(&mut self, run: &str, audit: &Audit) -> Result<(), Error> {
        let place = self.place.clone();
        let tables: Vec<&str> = run_tables().map(|table| table.name).collect();
        remove(&mut self.connection, run, &tables, audit).await.map_err(failed_at(&place))
    }

    /// Takes out the run called `run`, of which nothing is to be kept: it was never begun.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn forget(&mut self, run: &str) -> Result<(), Error> {
        let place = self.place.clone();
        let forget = async {
            let mut writing = self.connection.begin().await?;
            for table in run_tables() {
                clear(&mut writing, table.name, run).await?;
            }
            writing.commit().await
        };
        forget.await.map_err(failed_at(&place))
    }

    /// Deletes the people of the run called `run`, and leaves a row of `audit` that says so.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn redact(&mut self, run: &str, audit: &Audit) -> Result<(), Error> {
        let place = self.place.clone();
        remove(&mut self.connection, run, &[PEOPLE], audit).await.map_err(failed_at(&place))
    }

    /// Deletes what is older at `now_ns` than it is to be kept: scheduled runs, and people.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn expire(&mut self, now_ns: u64) -> Result<Expired, Error> {
        let before = |days: u64| now_ns.saturating_sub(days.saturating_mul(NANOS_PER_DAY));
        let because = |days: u64| Audit {
            action: "expire",
            by_user: None,
            reason: Some(format!("older than {days} days")),
            at_ns: now_ns,
        };
        let old = "SELECT run FROM runs WHERE class = 'scheduled' AND started_ns < $1";
        let runs = self.names(old, before(SCHEDULED_DAYS)).await?;
        for run in &runs {
            self.delete(run, &because(SCHEDULED_DAYS)).await?;
        }
        let named = "SELECT DISTINCT runs.run FROM runs JOIN run_people ON \
                     run_people.run = runs.run WHERE started_ns < $1";
        let people = self.names(named, before(PEOPLE_DAYS)).await?;
        for run in &people {
            self.redact(run, &because(PEOPLE_DAYS)).await?;
        }
        self.clear_leases().await?;
        let count = |runs: Vec<String>| u64::try_from(runs.len()).unwrap_or(u64::MAX);
        Ok(Expired { runs: count(runs), people: count(people) })
    }

    async fn names(&mut self, sql: &'static str, before_ns: u64) -> Result<Vec<String>, Error> {
        let before_ns = i64::try_from(before_ns).unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(before_ns).fetch_all(&mut self.connection).await;
        let names = rows.and_then(|rows| rows.iter().map(|row| row.try_get("run")).collect());
        names.map_err(failed_at(&self.place))
    }
}

/// What was done to runs.
pub(super) const AUDIT: &str = "audit";

/// The names of people in runs.
pub(super) const PEOPLE: &str = "run_people";

/// The tables whose rows go with their runs.
pub(super) fn run_tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| table.name != AUDIT)
}

async fn record(connection: &mut AnyConnection, kept: &Kept) -> sqlx::Result<bool> {
    let run = kept.entry.run.as_str();
    let mut writing = connection.begin().await?;
    // A write comes first: SQLite then waits for others that write, PostgreSQL for those of this
    // run.
    let lock = sqlx::query("UPDATE runs SET run = run WHERE run = $1").bind(run.to_owned());
    lock.execute(&mut *writing).await?;
    let there = sqlx::query("SELECT recorded_ns, state FROM runs WHERE run = $1");
    let there = there.bind(run.to_owned()).fetch_optional(&mut *writing).await?;
    if let Some(there) = there {
        let is_over = there.try_get::<String, _>("state")? != State::Running.name();
        let at: i64 = there.try_get("recorded_ns")?;
        let is_older = i64::try_from(kept.entry.recorded_ns).is_ok_and(|own| own < at);
        // What a run came to takes the place of what was known before, whatever the clock says.
        if is_over && (is_older || kept.entry.state == State::Running) {
            return Ok(false);
        }
    }
    for table in run_tables() {
        clear(&mut writing, table.name, run).await?;
    }
    insert(&mut writing, &kept.entry.row()).await?;
    for row in &kept.rows {
        insert(&mut writing, row).await?;
    }
    if let Some(report) = &kept.report {
        let document = Document::of(report)?;
        let cells = vec![
            ("run", Cell::text(run)),
            ("sha256", Cell::text(&document.sha256)),
            ("gzip", Cell::Octets(Some(document.gzip))),
        ];
        insert(&mut writing, &Row::new("documents", cells)).await?;
    }
    writing.commit().await?;
    Ok(true)
}

async fn remove(
    connection: &mut AnyConnection,
    run: &str,
    tables: &[&str],
    audit: &Audit,
) -> sqlx::Result<()> {
    let mut writing = connection.begin().await?;
    for table in tables {
        clear(&mut writing, table, run).await?;
    }
    let cells = vec![
        ("run", Cell::text(run)),
        ("at_ns", Cell::count(audit.at_ns)),
        ("action", Cell::text(audit.action)),
        ("by_user", Cell::Text(audit.by_user.clone())),
        ("reason", Cell::Text(audit.reason.clone())),
    ];
    insert(&mut writing, &Row::new(AUDIT, cells)).await?;
    writing.commit().await
}

/// Takes all rows of the run called `run` out of a table.
pub(super) async fn clear(
    connection: &mut AnyConnection,
    table: &str,
    run: &str,
) -> sqlx::Result<()> {
    let sql = AssertSqlSafe(format!("DELETE FROM {table} WHERE run = $1"));
    sqlx::query(sql).bind(run.to_owned()).execute(connection).await.map(|_| ())
}

/// Adds `row` to its table.
pub(super) async fn insert(connection: &mut AnyConnection, row: &Row) -> sqlx::Result<()> {
    let table = TABLES.iter().find(|table| table.name == row.table);
    let sql = table.map(insertion).unwrap_or_default();
    let query = row.cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), bound);
    query.execute(connection).await.map(|_| ())
}

/// The names of tables and columns are this program's own.
pub(super) fn insertion(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places.join(", "))
}

pub(super) type Bound<'q> = Query<'q, Any, <Any as sqlx::Database>::Arguments>;

pub(super) fn bound<'q>(query: Bound<'q>, cell: &Cell) -> Bound<'q> {
    match cell.clone() {
        Cell::Text(text) => query.bind(text),
        Cell::Int(number) => query.bind(number),
        // sqlx 0.9 has a missing number of 64 bits sent as one of 32, and the other way round: the
        // first row would decide of which kind PostgreSQL takes the column's values to be.
        Cell::Real(None) => query.bind(None::<f32>),
        Cell::Real(number) => query.bind(number),
        Cell::Octets(octets) => query.bind(octets),
    }
}
