//! Copying runs from one history into another: a backup, a restore and a move are the same.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::place::Place;
use super::probed::{self, PROBED};
use super::stops;
use super::watched::put;
use super::writing::{AUDIT, PEOPLE, clear, insert, run_tables};
use crate::history::{Cell, Kind, Row, TABLES, Table, WATCHED};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use std::collections::BTreeSet;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// Runs that were written.
    pub runs: u64,
    /// Runs that were there already, as new or newer.
    pub there: u64,
}

impl Store {
    /// Copies every run into `other`, as they all are at one moment. One that is there already
    /// stays where it is as new; and names of people that were deleted there stay deleted.
    ///
    /// # Errors
    ///
    /// Where the one cannot be read or the other cannot be written: what was copied until then
    /// stays there, and copying again goes on.
    pub async fn copy_into(&mut self, other: &mut Self) -> Result<Copied, Error> {
        let (from, to) = (failed_at(&self.place), failed_at(&other.place));
        let is_server = matches!(self.place, Place::Server(_));
        let redacted = redacted(&mut other.connection).await.map_err(&to)?;
        let mut reading = self.connection.begin().await.map_err(&from)?;
        if is_server {
            let one = sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
            one.execute(&mut *reading).await.map_err(&from)?;
        }
        let runs = sqlx::query("SELECT run, recorded_ns FROM runs ORDER BY started_ns, run");
        let runs = runs.fetch_all(&mut *reading).await.map_err(&from)?;
        let mut copied = Copied::default();
        for row in runs {
            let run: String = row.try_get("run").map_err(&from)?;
            let recorded_ns: i64 = row.try_get("recorded_ns").map_err(&from)?;
            if is_as_new(&mut other.connection, &run, recorded_ns).await.map_err(&to)? {
                copied.there += 1;
                continue;
            }
            let mut rows = Vec::new();
            for table in run_tables() {
                if table.name != PEOPLE || !redacted.contains(&run) {
                    rows.extend(read(&mut reading, table, Some(&run)).await.map_err(&from)?);
                }
            }
            write(&mut other.connection, &run, &rows).await.map_err(&to)?;
            copied.runs += 1;
        }
        let audit = TABLES.iter().filter(|table| table.name == AUDIT);
        for table in audit {
            for row in read(&mut reading, table, None).await.map_err(&from)? {
                add_missing(&mut other.connection, &row).await.map_err(&to)?;
            }
        }
        for (keys, table) in WATCHED {
            for row in read(&mut reading, table, None).await.map_err(&from)? {
                put(&mut other.connection, table, *keys, &row).await.map_err(&to)?;
            }
        }
        for table in PROBED {
            copy_probed(&mut reading, &mut other.connection, table).await.map_err(&to)?;
        }
        for order in stops::all(&mut reading).await.map_err(&from)? {
            stops::add_missing(&mut other.connection, &order).await.map_err(&to)?;
        }
        reading.rollback().await.map_err(&from)?;
        Ok(copied)
    }
}

/// Rows of what was probed that are copied in one go.
const ROWS_MAX: i64 = 10_000;

/// Copies what was probed: each row by its key, in the place of one that has less.
async fn copy_probed(
    from: &mut AnyConnection,
    to: &mut AnyConnection,
    table: &probed::Table,
) -> sqlx::Result<()> {
    let mut offset = 0;
    loop {
        let key = table.key.join(", ");
        let sql = format!("{} ORDER BY {key} LIMIT {ROWS_MAX} OFFSET {offset}", table.select());
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *from).await?;
        let mut writing = to.begin().await?;
        for row in &rows {
            probed::write(&mut writing, table, &probed::cells(table, row)?).await?;
        }
        writing.commit().await?;
        offset += ROWS_MAX;
        if i64::try_from(rows.len()).is_ok_and(|rows| rows < ROWS_MAX) {
            return Ok(());
        }
    }
}

/// The runs whose people were deleted.
async fn redacted(connection: &mut AnyConnection) -> sqlx::Result<BTreeSet<String>> {
    let sql = "SELECT DISTINCT run FROM audit WHERE action <> 'delete'";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("run")).collect()
}

async fn is_as_new(
    connection: &mut AnyConnection,
    run: &str,
    recorded_ns: i64,
) -> sqlx::Result<bool> {
    let query = sqlx::query("SELECT recorded_ns FROM runs WHERE run = $1").bind(run.to_owned());
    let there = query.fetch_optional(connection).await?;
    let there = there.map(|row| row.try_get::<i64, _>("recorded_ns")).transpose()?;
    Ok(there.is_some_and(|there| recorded_ns <= there))
}

/// All rows of `table`, or those of one run.
async fn read(
    connection: &mut AnyConnection,
    table: &'static Table,
    run: Option<&str>,
) -> sqlx::Result<Vec<Row>> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let only = if run.is_some() { " WHERE run = $1" } else { "" };
    let sql = AssertSqlSafe(format!("SELECT {} FROM {}{only}", names.join(", "), table.name));
    let query = run.into_iter().fold(sqlx::query(sql), |query, run| query.bind(run.to_owned()));
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| row_of(table, row)).collect()
}

fn row_of(table: &'static Table, row: &AnyRow) -> sqlx::Result<Row> {
    let cells = table.columns.iter().map(|column| {
        Ok(match column.kind {
            Kind::Text => Cell::Text(row.try_get(column.name)?),
            Kind::Int => Cell::Int(row.try_get(column.name)?),
            Kind::Real => Cell::Real(row.try_get(column.name)?),
            Kind::Octets => Cell::Octets(row.try_get(column.name)?),
        })
    });
    Ok(Row { table: table.name, cells: cells.collect::<sqlx::Result<_>>()? })
}

/// Writes all `rows` of a run, in the place of those that are there.
async fn write(connection: &mut AnyConnection, run: &str, rows: &[Row]) -> sqlx::Result<()> {
    let mut writing = connection.begin().await?;
    for table in run_tables() {
        clear(&mut writing, table.name, run).await?;
    }
    for row in rows {
        insert(&mut writing, row).await?;
    }
    writing.commit().await
}

/// Adds a row of `audit`, where it is not there.
async fn add_missing(connection: &mut AnyConnection, row: &Row) -> sqlx::Result<()> {
    let [Cell::Text(run), Cell::Int(at_ns), Cell::Text(action), ..] = row.cells.as_slice() else {
        return Ok(());
    };
    let query = sqlx::query("SELECT run FROM audit WHERE run = $1 AND at_ns = $2 AND action = $3");
    let query = query.bind(run.clone()).bind(*at_ns).bind(action.clone());
    let there = query.fetch_optional(&mut *connection).await?;
    match there {
        Some(_) => Ok(()),
        None => insert(connection, row).await,
    }
}
