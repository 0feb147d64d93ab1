//! The schema of the history, version by version.
//!
//! A version is a file, and is never changed once it was released. It only adds (a table, a column
//! that may be null, an index): what it no longer uses stays for programs of the version before,
//! and goes one version later. A program that finds a later version than it knows leaves the
//! database alone, and keeps its runs aside.

use super::connection::Store;
use super::error::Error;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Row as _, SqlStr};
use std::borrow::Cow;

/// Each version, in order, with what it brings.
const VERSIONS: &[(i64, &str, &str)] = &[
    (1, "runs, with their links, trials, findings and reports", include_str!("schema/1.sql")),
    (2, "what probes show all the time", include_str!("schema/2.sql")),
    (3, "leases on what runs load", include_str!("schema/3.sql")),
    (4, "states of watched links, alerts, maintenance and notes", include_str!("schema/4.sql")),
    (5, "orders that stop all load", include_str!("schema/5.sql")),
];

/// The last version that this program knows.
pub(super) fn known() -> i64 {
    VERSIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

/// Brings the database up to date.
///
/// # Errors
///
/// Where it is of a later linkqual, or cannot be changed.
pub(super) async fn migrate(store: &mut Store) -> Result<(), Error> {
    let found = version(store).await;
    if known() < found {
        return Err(Error::Newer { place: store.place.clone(), found, known: known() });
    }
    if found == known() {
        return Ok(());
    }
    let migrations = VERSIONS.iter().map(|(version, name, sql)| {
        let (name, sql) = (Cow::Borrowed(*name), SqlStr::from_static(sql));
        Migration::new(*version, name, MigrationType::Simple, sql, false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let Err(source) = migrator.run(&mut store.connection).await else { return Ok(()) };
    // Another process was faster.
    match version(store).await == known() {
        true => Ok(()),
        false => Err(Error::Migration { place: store.place.clone(), source }),
    }
}

/// The version of the database; 0 of one that is empty.
async fn version(store: &mut Store) -> i64 {
    let sql = "SELECT MAX(version) AS version FROM _sqlx_migrations WHERE success";
    let row = sqlx::query(sql).fetch_one(&mut store.connection).await;
    row.and_then(|row| row.try_get::<Option<i64>, _>("version")).ok().flatten().unwrap_or(0)
}
