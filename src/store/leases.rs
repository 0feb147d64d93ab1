//! Leases on what runs load: all that a run wants or none of it, by the database's own clock.
//!
//! A lease ends by itself, so that whatever becomes of its holder, nothing stays locked beyond its
//! time. Its number is higher than that of every lease before it on the same thing, also where the
//! database was brought back from a backup: it grows with the clock. Nothing here depends on a
//! connection that stays open.
//!
//! Leases are of the moment: they are not copied with the runs.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::place::Place;
use crate::account::plain;
use crate::history::{Held, Holdings};
use crate::wire::fence::Fence;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// What is to be leased, by whom and for how long.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The names of the resources, each once.
    pub resources: std::collections::BTreeSet<String>,
    /// The holder: no two have the same.
    pub holder: String,
    /// The run that it is for: what a part of it holds is not in the way of another part.
    pub run: String,
    /// Who runs it, for people.
    pub who: String,
    /// The command.
    pub command: String,
    /// The link, for people.
    pub link: String,
    /// For how long, in nanoseconds.
    pub span_ns: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Leased {
    /// All is leased; what shows it, in the order of the resources.
    Yes(Vec<Fence>),
    /// Nothing is: others hold these, at this moment of the database's clock.
    Held(Holdings),
}

/// The clock of each kind of database, in milliseconds since 1970.
const NOW_SQLITE: &str =
    "SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS now_ms";
const NOW_SERVER: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms";

const NANOS_PER_MS: i64 = 1_000_000;

/// Whoever has written to this row is alone with what it names until the end of the transaction:
/// all take them in the same order.
const LOCK: &str = "UPDATE lease_numbers SET number = number WHERE resource = $1";

const MAKE: &str = "INSERT INTO lease_numbers (resource, sequence, number) VALUES ($1, $2, 0) \
                    ON CONFLICT (resource) DO NOTHING";

const RAISE: &str = "UPDATE lease_numbers SET number = CASE WHEN number < $2 THEN $2 \
                     ELSE number + 1 END WHERE resource = $1 RETURNING sequence, number";

const HELD: &str = "SELECT resource, run, who, command, link, since_ns, until_ns FROM leases \
                    WHERE resource = $1 AND $2 < until_ns AND run <> $3 ORDER BY until_ns";

const ALL_HELD: &str = "SELECT resource, run, who, command, link, since_ns, until_ns FROM leases \
                        WHERE $1 < until_ns ORDER BY since_ns, holder, resource";

const TAKE: &str = "INSERT INTO leases (resource, holder, run, who, command, link, since_ns, \
                    until_ns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl Store {
    /// Leases all of `wanted`, or nothing where another run holds any of it. What is over is taken
    /// over.
    ///
    /// # Errors
    ///
    /// Where the database does not take it: then nothing is leased.
    pub async fn lease(&mut self, wanted: &Wanted) -> Result<Leased, Error> {
        let place = self.place.clone();
        lease(&mut self.connection, &place, wanted).await.map_err(failed_at(&place))
    }

    /// Gives back all that `holder` has.
    ///
    /// # Errors
    ///
    /// Where the database does not take it: then it ends by itself.
    pub async fn release(&mut self, holder: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM leases WHERE holder = $1").bind(holder.to_owned());
        let done = query.execute(&mut self.connection).await;
        done.map(|_| ()).map_err(failed_at(&self.place))
    }

    /// All leases that are held now.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn holdings(&mut self) -> Result<Holdings, Error> {
        let place = self.place.clone();
        let read = async {
            let now_ns = now_ns(&mut self.connection, &place).await?;
            let rows = sqlx::query(ALL_HELD).bind(now_ns);
            let rows = rows.fetch_all(&mut self.connection).await?;
            let held = rows.iter().map(held).collect::<sqlx::Result<_>>()?;
            Ok(Holdings { now_ns: count(now_ns), held })
        };
        read.await.map_err(failed_at(&place))
    }

    /// Deletes what is left of leases that are over.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub(super) async fn clear_leases(&mut self) -> Result<(), Error> {
        let place = self.place.clone();
        let clear = async {
            let now_ns = now_ns(&mut self.connection, &place).await?;
            let query = sqlx::query("DELETE FROM leases WHERE until_ns <= $1").bind(now_ns);
            query.execute(&mut self.connection).await.map(|_| ())
        };
        clear.await.map_err(failed_at(&place))
    }
}

async fn lease(
    connection: &mut AnyConnection,
    place: &Place,
    wanted: &Wanted,
) -> sqlx::Result<Leased> {
    let mut taking = connection.begin().await?;
    for resource in &wanted.resources {
        let made = sqlx::query(MAKE).bind(resource.clone()).bind(sequence(wanted, resource));
        made.execute(&mut *taking).await?;
        sqlx::query(LOCK).bind(resource.clone()).execute(&mut *taking).await?;
    }
    // Whatever it took to be alone with them is over.
    let now_ns = now_ns(&mut taking, place).await?;
    let mut others = Vec::new();
    for resource in &wanted.resources {
        let query = sqlx::query(HELD).bind(resource.clone()).bind(now_ns).bind(wanted.run.clone());
        for row in query.fetch_all(&mut *taking).await? {
            others.push(held(&row)?);
        }
    }
    if !others.is_empty() {
        taking.rollback().await?;
        return Ok(Leased::Held(Holdings { now_ns: count(now_ns), held: others }));
    }
    let until_ns = i64::try_from(wanted.span_ns).unwrap_or(i64::MAX).saturating_add(now_ns);
    let mut fences = Vec::new();
    for resource in &wanted.resources {
        let over = sqlx::query("DELETE FROM leases WHERE resource = $1 AND until_ns <= $2");
        over.bind(resource.clone()).bind(now_ns).execute(&mut *taking).await?;
        let raised = sqlx::query(RAISE).bind(resource.clone()).bind(now_ns / NANOS_PER_MS);
        fences.push(fence(resource, &raised.fetch_one(&mut *taking).await?)?);
        let query = sqlx::query(TAKE)
            .bind(resource.clone())
            .bind(wanted.holder.clone())
            .bind(wanted.run.clone())
            .bind(wanted.who.clone())
            .bind(wanted.command.clone())
            .bind(wanted.link.clone())
            .bind(now_ns)
            .bind(until_ns);
        query.execute(&mut *taking).await?;
    }
    taking.commit().await?;
    Ok(Leased::Yes(fences))
}

/// A name for the numbers of `resource` that no other database has: its first holder's is random.
fn sequence(wanted: &Wanted, resource: &str) -> String {
    let digest = Sha256::digest(format!("{}\n{resource}", wanted.holder));
    digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

async fn now_ns(connection: &mut AnyConnection, place: &Place) -> sqlx::Result<i64> {
    let sql = match place {
        Place::File(_) => NOW_SQLITE,
        Place::Server(_) => NOW_SERVER,
    };
    let row = sqlx::query(sql).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>("now_ms")?.saturating_mul(NANOS_PER_MS))
}

fn count(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

fn fence(resource: &str, row: &AnyRow) -> sqlx::Result<Fence> {
    let sequence: String = row.try_get("sequence")?;
    let wrong = || sqlx::Error::Decode("a sequence of leases has 32 hexadecimal digits".into());
    let sequence = u128::from_str_radix(&sequence, 16).map_err(|_| wrong())?;
    Ok(Fence { of: resource.to_owned(), sequence, number: count(row.try_get("number")?) })
}

fn held(row: &AnyRow) -> sqlx::Result<Held> {
    // A database that others write may hold what no terminal should be sent.
    let text = |column| Ok::<_, sqlx::Error>(plain(&row.try_get::<String, _>(column)?));
    Ok(Held {
        resource: text("resource")?,
        run: text("run")?,
        who: text("who")?,
        command: text("command")?,
        link: text("link")?,
        since_ns: count(row.try_get("since_ns")?),
        until_ns: count(row.try_get("until_ns")?),
    })
}
