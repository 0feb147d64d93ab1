//! Orders that stop all load: in a private file, which every process of this user looks at, and in
//! the database, for those of other hosts.

use super::connection::{Store, failed_at};
use super::error::Error;
use crate::account::plain;
use crate::history::StopOrder;
use crate::io::files::{
    BadOutput, let_others_pass, make_private_folder, read_text, replace_private, replace_shared,
};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The file, in the folder of what is kept.
const FILE: &str = "stop.json";

/// The octets of that file at most.
const OCTETS_MAX: u64 = 1 << 20;

/// How a file is put in the place of another.
type Replace = fn(&Path, &str, &str) -> Result<(), BadOutput>;

/// The orders of one folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StopFile {
    folder: PathBuf,
}

impl StopFile {
    /// That in `folder`.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The orders; none where there is no such file, or none that this user may see.
    ///
    /// # Errors
    ///
    /// Where it is there and makes no sense: then something was ordered, and nobody knows what.
    pub fn read(&self) -> Result<Vec<StopOrder>, String> {
        let path = self.path();
        if let Err(error) = fs::metadata(&path) {
            return match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    Ok(Vec::new())
                }
                _ => Err(format!("{}: {error}", path.display())),
            };
        }
        let text = read_text(&path, OCTETS_MAX).map_err(|error| error.to_string())?.text;
        serde_json::from_str(&text).map_err(|error| {
            format!("{}: not orders: {error}. Run linkqual stop or resume again", path.display())
        })
    }

    /// Puts `orders` in the place of those that are there.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn write(&self, orders: &[StopOrder]) -> Result<(), Error> {
        let failed = |source| Error::File { path: self.folder.clone(), source };
        make_private_folder(&self.folder).map_err(failed)?;
        if orders.is_empty() {
            return match fs::remove_file(self.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(orders).map_err(|error| failed(error.into()))?;
        // Root's hold for everybody.
        let replace = match self.folder == hosts_folder() {
            true => let_others_pass(&self.folder).map(|()| replace_shared as Replace),
            false => Ok(replace_private as Replace),
        };
        replace.map_err(failed)?(&self.folder, FILE, &format!("{text}\n"))
            .map_err(|error| failed(io::Error::other(error.to_string())))
    }
}

/// The folder of root, whose orders everybody's processes obey.
#[must_use]
pub fn hosts_folder() -> &'static Path {
    Path::new("/var/lib/linkqual")
}

const ACTIVE: &str = "SELECT link, reason, by_user, host, at_ns FROM load_stops \
    WHERE lifted_ns IS NULL ORDER BY at_ns, link";

impl Store {
    /// The orders that hold.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn stops(&mut self) -> Result<Vec<StopOrder>, Error> {
        let rows = sqlx::query(ACTIVE).fetch_all(&mut self.connection).await;
        let orders = rows.and_then(|rows| rows.iter().map(order).collect());
        orders.map_err(failed_at(&self.place))
    }

    /// Adds `order`.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn stop(&mut self, order: &StopOrder) -> Result<(), Error> {
        let sql = "INSERT INTO load_stops (at_ns, link, reason, by_user, host) \
                   VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(sql)
            .bind(i64::try_from(order.at_ns).unwrap_or(i64::MAX))
            .bind(order.link.clone().unwrap_or_default())
            .bind(order.reason.clone())
            .bind(order.by.clone())
            .bind(order.host.clone());
        query.execute(&mut self.connection).await.map_err(failed_at(&self.place))?;
        Ok(())
    }

    /// Lifts the orders about `link`, or all of them, at `now_ns`; how many these were.
    ///
    /// # Errors
    ///
    /// Where the database does not take it.
    pub async fn resume(
        &mut self,
        link: Option<&str>,
        by: &str,
        now_ns: u64,
    ) -> Result<u64, Error> {
        let only = if link.is_some() { " AND link = $3" } else { "" };
        let sql = format!(
            "UPDATE load_stops SET lifted_ns = $1, lifted_by = $2 WHERE lifted_ns IS NULL{only}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(i64::try_from(now_ns).unwrap_or(i64::MAX))
            .bind(by.to_owned());
        let query = link.into_iter().fold(query, |query, link| query.bind(link.to_owned()));
        let lifted = query.execute(&mut self.connection).await;
        Ok(lifted.map_err(failed_at(&self.place))?.rows_affected())
    }
}

/// An order, and when and by whom it was lifted.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    order: StopOrder,
    lifted_ns: Option<i64>,
    lifted_by: Option<String>,
}

/// Every order that was ever given.
pub(super) async fn all(connection: &mut AnyConnection) -> sqlx::Result<Vec<Kept>> {
    let sql = "SELECT link, reason, by_user, host, at_ns, lifted_ns, lifted_by FROM load_stops";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let kept = |row: &AnyRow| {
        let (lifted_ns, lifted_by) = (row.try_get("lifted_ns")?, row.try_get("lifted_by")?);
        Ok(Kept { order: order(row)?, lifted_ns, lifted_by })
    };
    rows.iter().map(kept).collect()
}

/// Adds an order, where it is not there.
pub(super) async fn add_missing(connection: &mut AnyConnection, kept: &Kept) -> sqlx::Result<()> {
    let Kept { order, lifted_ns, lifted_by } = kept;
    let at_ns = i64::try_from(order.at_ns).unwrap_or(i64::MAX);
    let link = order.link.clone().unwrap_or_default();
    let sql = "SELECT link FROM load_stops WHERE at_ns = $1 AND link = $2";
    let query = sqlx::query(sql).bind(at_ns).bind(link.clone());
    if query.fetch_optional(&mut *connection).await?.is_some() {
        return Ok(());
    }
    let sql = "INSERT INTO load_stops (at_ns, link, reason, by_user, host, lifted_ns, lifted_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let query = sqlx::query(sql)
        .bind(at_ns)
        .bind(link)
        .bind(order.reason.clone())
        .bind(order.by.clone())
        .bind(order.host.clone())
        .bind(*lifted_ns)
        .bind(lifted_by.clone());
    query.execute(connection).await.map(|_| ())
}

fn order(row: &AnyRow) -> sqlx::Result<StopOrder> {
    // A database that others write may hold what no terminal should be sent.
    let text = |column| row.try_get::<String, _>(column).map(|text| plain(&text));
    let link = text("link")?;
    Ok(StopOrder {
        link: (!link.is_empty()).then_some(link),
        reason: text("reason")?,
        by: text("by_user")?,
        host: text("host")?,
        at_ns: u64::try_from(row.try_get::<i64, _>("at_ns")?).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(link: Option<&str>) -> StopOrder {
        StopOrder {
            link: link.map(str::to_owned),
            reason: "alarm".into(),
            by: "alice".into(),
            host: "near".into(),
            at_ns: 1_764_554_400_000_000_000,
        }
    }

    #[test]
    fn what_is_ordered_is_read_until_it_is_lifted_and_what_makes_no_sense_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StopFile::new(folder.path().join("linkqual"));
        assert_eq!(file.read(), Ok(Vec::new()));
        let orders = [order(None), order(Some("a"))];
        file.write(&orders).expect("written");
        assert_eq!(file.read(), Ok(orders.to_vec()));
        fs::write(file.path(), "[").expect("written");
        assert!(file.read().is_err_and(|why| why.contains("not orders")));
        file.write(&[]).expect("removed");
        assert_eq!(file.read(), Ok(Vec::new()));
        file.write(&[]).expect("nothing to remove");
    }

    #[test]
    fn the_database_keeps_orders_for_other_hosts() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let place = super::super::Place::File(folder.path().join("history.db"));
            let mut store = Store::make(&place).await.expect("a history");
            store.stop(&order(None)).await.expect("written");
            let copy = super::super::Place::File(folder.path().join("copy.db"));
            let mut other = Store::make(&copy).await.expect("a history");
            for _ in 0..2 {
                store.copy_into(&mut other).await.expect("copied");
                assert_eq!(other.stops().await.expect("read"), [order(None)]);
            }
            store.stop(&StopOrder { at_ns: 7, ..order(Some("a")) }).await.expect("written");
            assert_eq!(store.stops().await.expect("read").len(), 2);
            assert_eq!(store.resume(Some("a"), "bob", 9).await.expect("lifted"), 1);
            assert_eq!(store.stops().await.expect("read"), [order(None)]);
            assert_eq!(store.resume(None, "bob", 9).await.expect("lifted"), 1);
            assert_eq!(store.stops().await.expect("read"), []);
            store.close().await.expect("closed");
        });
    }
}
