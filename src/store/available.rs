//! How available paths were: what their hours say, and the minutes at the edges.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::probed::count;
use crate::account::plain;
use crate::health::summary::{Available, Known, ListedOutage};
use crate::health::{End, HOUR_S, HOURS_DAYS, Outage, PathName, Sum, Way};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

/// Seconds of a minute.
const MINUTE_S: i64 = 60;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Which paths, and when.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Those of this link, or all.
    pub link: Option<String>,
    /// From then on, in seconds since 1970.
    pub since_s: i64,
    /// Now.
    pub now_s: i64,
}

/// A path as it is kept.
struct Kept {
    number: i64,
    name: PathName,
    probes_per_second: f64,
}

/// Rows of a path that were summed up, each way, and from when to when they are.
#[derive(Default)]
struct Summed {
    sums: [Sum; 3],
    span_s: Option<(i64, i64)>,
}

impl Store {
    /// How available the paths that are meant were, each way.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn available(&mut self, wanted: &Watched) -> Result<Vec<Available>, Error> {
        let place = self.place.clone();
        self.available_of(wanted).await.map_err(failed_at(&place))
    }

    /// The outages of the paths that are meant, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn outages(&mut self, wanted: &Watched) -> Result<Vec<ListedOutage>, Error> {
        let place = self.place.clone();
        self.outages_of(wanted).await.map_err(failed_at(&place))
    }

    async fn available_of(&mut self, wanted: &Watched) -> sqlx::Result<Vec<Available>> {
        let mut found = Vec::new();
        for path in self.paths(wanted).await? {
            let summed = self.summed(path.number, wanted).await?;
            let Some(span_s) = summed.span_s else { continue };
            let outages = self.outages_on(path.number, wanted.since_s).await?;
            for (way, sum) in Way::ALL.into_iter().zip(summed.sums) {
                let (path, outages) = (&path, outages.as_slice());
                let (name, probes_per_second) = (&path.name, path.probes_per_second);
                let known = Known { path: name, way, span_s, sum, probes_per_second, outages };
                found.push(Available::of(&known));
            }
        }
        Ok(found)
    }

    async fn outages_of(&mut self, wanted: &Watched) -> sqlx::Result<Vec<ListedOutage>> {
        let mut found = Vec::new();
        for path in self.paths(wanted).await? {
            let outages = self.outages_on(path.number, wanted.since_s).await?;
            let listed = |outage: &Outage| ListedOutage::of(&path.name, outage, wanted.now_s);
            found.extend(outages.iter().map(listed));
        }
        found.sort_by_key(|outage| std::cmp::Reverse(outage.start_s));
        Ok(found)
    }

    async fn paths(&mut self, wanted: &Watched) -> sqlx::Result<Vec<Kept>> {
        let all = "SELECT path, link, site, probes_per_second FROM probe_paths";
        let only = if wanted.link.is_some() { " WHERE link = $1" } else { "" };
        let query = AssertSqlSafe(format!("{all}{only} ORDER BY link, site"));
        let query = wanted.link.iter().fold(sqlx::query(query), |it, link| it.bind(link.clone()));
        let rows = query.fetch_all(&mut self.connection).await?;
        let kept = |row: &AnyRow| {
            // Others may write to a shared database.
            let text = |column| Ok::<_, sqlx::Error>(plain(&row.try_get::<String, _>(column)?));
            let name = PathName { link: text("link")?, site: text("site")? };
            let number = row.try_get("path")?;
            Ok(Kept { number, name, probes_per_second: row.try_get("probes_per_second")? })
        };
        rows.iter().map(kept).collect()
    }

    /// Hours, with the minutes before the first whole one; days, where hours are not kept so long.
    async fn summed(&mut self, path: i64, wanted: &Watched) -> sqlx::Result<Summed> {
        let Watched { since_s, now_s, .. } = *wanted;
        let mut summed = Summed::default();
        if since_s < now_s - HOURS_DAYS * DAY_S {
            self.sum(&mut summed, "probe_days", DAY_S, path, (since_s, now_s)).await?;
            return Ok(summed);
        }
        let whole_s = since_s + (-since_s).rem_euclid(HOUR_S);
        self.sum(&mut summed, "probe_minutes", MINUTE_S, path, (since_s, whole_s)).await?;
        self.sum(&mut summed, "probe_hours", HOUR_S, path, (whole_s, now_s)).await?;
        Ok(summed)
    }

    async fn sum(
        &mut self,
        summed: &mut Summed,
        table: &'static str,
        length_s: i64,
        path: i64,
        (from_s, until_s): (i64, i64),
    ) -> sqlx::Result<()> {
        let prefixes = ["forward", "reverse", "round_trip"];
        let columns = ["sent", "lost", "good_s", "errored_s", "unavailable_s"];
        let names = prefixes.iter().flat_map(|way| columns.iter().map(move |it| (way, it)));
        // PostgreSQL has sums of whole numbers that are of another kind.
        let sums: Vec<String> = names
            .map(|(way, it)| format!("CAST(SUM({way}_{it}) AS BIGINT) AS {way}_{it}"))
            .collect();
        let sql = format!(
            "SELECT MIN(start_s) AS first_s, MAX(start_s) AS last_s, {} FROM {table} \
             WHERE path = $1 AND start_s >= $2 AND start_s < $3",
            sums.join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(path).bind(from_s).bind(until_s);
        let row = query.fetch_one(&mut self.connection).await?;
        let first_s: Option<i64> = row.try_get("first_s")?;
        let Some(first_s) = first_s else { return Ok(()) };
        for (sum, way) in summed.sums.iter_mut().zip(prefixes) {
            let of = |column: &str| count(&row, &format!("{way}_{column}"));
            sum.add(&Sum {
                sent: of("sent")?,
                lost: of("lost")?,
                good_s: of("good_s")?,
                errored_s: of("errored_s")?,
                unavailable_s: of("unavailable_s")?,
            });
        }
        let last_s: i64 = row.try_get("last_s")?;
        let edges = self.edges(path, (first_s, last_s, length_s)).await?;
        let (from_s, until_s) = summed.span_s.unwrap_or(edges);
        summed.span_s = Some((from_s.min(edges.0), until_s.max(edges.1)));
        Ok(())
    }

    /// From when to when a path was watched whose first and last rows began then: by its minutes,
    /// as far as they are kept.
    async fn edges(
        &mut self,
        path: i64,
        (first_s, last_s, length_s): (i64, i64, i64),
    ) -> sqlx::Result<(i64, i64)> {
        let mut edges = (first_s, last_s + length_s);
        for (start_s, order) in [(first_s, "ASC"), (last_s, "DESC")] {
            let sql = format!(
                "SELECT start_s, watched_s FROM probe_minutes WHERE path = $1 AND start_s >= $2 \
                 AND start_s < $3 ORDER BY start_s {order} LIMIT 1"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(path).bind(start_s);
            let row = query.bind(start_s + length_s).fetch_optional(&mut self.connection).await?;
            let Some(row) = row else { continue };
            let (minute_s, watched_s): (i64, i64) =
                (row.try_get("start_s")?, row.try_get("watched_s")?);
            match order {
                "ASC" => edges.0 = minute_s + MINUTE_S - watched_s,
                _ => edges.1 = minute_s + watched_s,
            }
        }
        Ok(edges)
    }

    async fn outages_on(&mut self, path: i64, since_s: i64) -> sqlx::Result<Vec<Outage>> {
        let sql = "SELECT way, start_s, until_s, ended, sent, lost, is_unavailability \
                   FROM probe_outages WHERE path = $1 AND until_s > $2 ORDER BY start_s";
        let query = sqlx::query(sql).bind(path).bind(since_s);
        let rows = query.fetch_all(&mut self.connection).await?;
        rows.iter().map(outage).collect()
    }
}

fn outage(row: &AnyRow) -> sqlx::Result<Outage> {
    let (way, ended): (String, String) = (row.try_get("way")?, row.try_get("ended")?);
    Ok(Outage {
        way: Way::ALL.into_iter().find(|it| it.name() == way).unwrap_or(Way::RoundTrip),
        start_s: row.try_get("start_s")?,
        until_s: row.try_get("until_s")?,
        end: End::ALL.into_iter().find(|it| it.name() == ended).unwrap_or(End::Unseen),
        sent: count(row, "sent")?,
        lost: count(row, "lost")?,
        is_unavailability: 0 < count(row, "is_unavailability")?,
    })
}
