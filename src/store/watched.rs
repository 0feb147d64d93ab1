//! What is kept of links that are watched, beside their runs: states and events, alerts,
//! maintenance and notes. Each row has a key, and is written again in its own place.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::writing::{bound, insertion};
use crate::account::plain;
use crate::alerting::KeptAlert;
use crate::health::record::{KeptState, Maintenance, Note, NoteKind, WatchSeen, change};
use crate::health::state::{Change, State};
use crate::history::{Row, Table, WATCHED};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use std::collections::BTreeMap;

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// An event as the history has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptEvent {
    /// When it was known, in seconds since 1970.
    pub at_s: i64,
    /// The state before.
    pub from: State,
    /// The state then.
    pub now: KeptState,
    /// What changed first.
    pub first: Option<Change>,
}

/// Which events are meant.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this link alone.
    pub link: Option<String>,
    /// From then on, in seconds since 1970.
    pub since_s: i64,
    /// So many at most, the newest.
    pub limit: u32,
}

/// That somebody takes care of an alert.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acknowledgement {
    /// The alert.
    pub alert: String,
    /// When it was entered, in seconds since 1970.
    pub at_s: i64,
    /// Who takes care of it.
    pub owner: String,
    /// Until when.
    pub until_s: i64,
}

impl Store {
    /// Writes `rows` of [`WATCHED`], each in its own place, all or none.
    ///
    /// # Errors
    ///
    /// Where the database does not take them.
    pub async fn put(&mut self, rows: &[Row]) -> Result<(), Error> {
        let place = self.place.clone();
        let all = async {
            let mut writing = self.connection.begin().await?;
            for row in rows {
                let table = WATCHED.iter().find(|(_, table)| table.name == row.table);
                if let Some((keys, table)) = table {
                    put(&mut writing, table, *keys, row).await?;
                }
            }
            writing.commit().await
        };
        all.await.map_err(failed_at(&place))
    }

    /// The states of all links, as each was last known.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn link_states(&mut self) -> Result<Vec<KeptState>, Error> {
        let sql = "SELECT * FROM link_states ORDER BY link, subject";
        let rows = sqlx::query(sql).fetch_all(&mut self.connection).await;
        let states = rows.and_then(|rows| rows.iter().map(state).collect::<Result<Vec<_>, _>>());
        let states = states.map_err(failed_at(&self.place))?;
        Ok(states.into_iter().flatten().collect())
    }

    /// The events that `filter` means, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn events(&mut self, filter: &EventFilter) -> Result<Vec<KeptEvent>, Error> {
        let only = if filter.link.is_some() { " AND link = $3" } else { "" };
        let sql = AssertSqlSafe(format!(
            "SELECT * FROM state_events WHERE at_ns >= $1{only} ORDER BY at_ns DESC, link, subject \
             LIMIT $2"
        ));
        let query = sqlx::query(sql).bind(filter.since_s.saturating_mul(NANOS));
        let query = query.bind(i64::from(filter.limit));
        let query = filter.link.iter().fold(query, |query, link| query.bind(link.clone()));
        let rows = query.fetch_all(&mut self.connection).await;
        let events = rows.and_then(|rows| rows.iter().map(event).collect::<Result<Vec<_>, _>>());
        Ok(events.map_err(failed_at(&self.place))?.into_iter().flatten().collect())
    }

    /// The watches, as each was last heard of.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn watches(&mut self) -> Result<Vec<WatchSeen>, Error> {
        let sql = "SELECT * FROM watches ORDER BY watch";
        let rows = sqlx::query(sql).fetch_all(&mut self.connection).await;
        let watches = rows.and_then(|rows| {
            let watch = |row: &AnyRow| {
                Ok(WatchSeen {
                    watch: text(row, "watch")?,
                    program: text(row, "program")?,
                    started_s: seconds(row, "started_ns")?.unwrap_or(0),
                    links: row.try_get("links")?,
                    ended_s: seconds(row, "ended_ns")?,
                    seen_s: seconds(row, "changed_ns")?.unwrap_or(0),
                })
            };
            rows.iter().map(watch).collect()
        });
        watches.map_err(failed_at(&self.place))
    }

    /// The alerts that are open, or began since `since_s`, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn alerts(&mut self, since_s: i64) -> Result<Vec<KeptAlert>, Error> {
        let sql = "SELECT * FROM alerts WHERE ended_ns IS NULL OR since_ns >= $1 \
                   ORDER BY since_ns DESC, id";
        let query = sqlx::query(sql).bind(since_s.saturating_mul(NANOS));
        let rows = query.fetch_all(&mut self.connection).await;
        let alerts = rows.and_then(|rows| rows.iter().map(alert).collect());
        alerts.map_err(failed_at(&self.place))
    }

    /// The acknowledgements that hold at `now_s`, the oldest first.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn acknowledgements(&mut self, now_s: i64) -> Result<Vec<Acknowledgement>, Error> {
        let sql = "SELECT * FROM acknowledgements WHERE until_ns > $1 ORDER BY at_ns, alert";
        let query = sqlx::query(sql).bind(now_s.saturating_mul(NANOS));
        let rows = query.fetch_all(&mut self.connection).await;
        let all = rows.and_then(|rows| {
            let one = |row: &AnyRow| {
                Ok(Acknowledgement {
                    alert: text(row, "alert")?,
                    at_s: seconds(row, "at_ns")?.unwrap_or(0),
                    owner: text(row, "owner")?,
                    until_s: seconds(row, "until_ns")?.unwrap_or(0),
                })
            };
            rows.iter().map(one).collect()
        });
        all.map_err(failed_at(&self.place))
    }

    /// The maintenance that is not over at `since_s`, by its begin.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn maintenance(&mut self, since_s: i64) -> Result<Vec<Maintenance>, Error> {
        let sql = "SELECT * FROM maintenance WHERE until_ns > $1 OR ended_ns > $1 \
                   ORDER BY from_ns, id";
        let query = sqlx::query(sql).bind(since_s.saturating_mul(NANOS));
        let rows = query.fetch_all(&mut self.connection).await;
        let all = rows.and_then(|rows| rows.iter().map(maintenance).collect());
        all.map_err(failed_at(&self.place))
    }

    /// The notes about any time since `since_s`, by their begin.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn notes(&mut self, since_s: i64) -> Result<Vec<Note>, Error> {
        let sql = "SELECT * FROM notes WHERE until_ns > $1 ORDER BY from_ns, id";
        let query = sqlx::query(sql).bind(since_s.saturating_mul(NANOS));
        let rows = query.fetch_all(&mut self.connection).await;
        let notes = rows.and_then(|rows| rows.iter().map(note).collect::<Result<Vec<_>, _>>());
        Ok(notes.map_err(failed_at(&self.place))?.into_iter().flatten().collect())
    }
}

/// Writes `row`, unless what is there under its key was changed later.
pub(super) async fn put(
    connection: &mut AnyConnection,
    table: &Table,
    keys: usize,
    row: &Row,
) -> sqlx::Result<()> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let (keys, values) = names.split_at(keys);
    let values: Vec<String> =
        values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let sql = format!(
        "{} ON CONFLICT ({}) DO UPDATE SET {} WHERE {}.changed_ns <= excluded.changed_ns",
        insertion(table),
        keys.join(", "),
        values.join(", "),
        table.name
    );
    let query = row.cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), bound);
    query.execute(connection).await.map(|_| ())
}

/// A text; a database that others write may hold what no terminal should be sent.
fn text(row: &AnyRow, column: &str) -> sqlx::Result<String> {
    Ok(text_if(row, column)?.unwrap_or_default())
}

fn text_if(row: &AnyRow, column: &str) -> sqlx::Result<Option<String>> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.map(|text| plain(&text)))
}

fn seconds(row: &AnyRow, column: &str) -> sqlx::Result<Option<i64>> {
    let ns: Option<i64> = row.try_get(column)?;
    Ok(ns.map(|ns| ns.div_euclid(NANOS)))
}

fn state(row: &AnyRow) -> sqlx::Result<Option<KeptState>> {
    let names = [text(row, "subject")?, text(row, "state")?, text(row, "cause")?];
    let names = [names[0].as_str(), names[1].as_str(), names[2].as_str()];
    let (link, reason, watch) = (text(row, "link")?, text(row, "reason")?, text(row, "watch")?);
    Ok(KeptState::of(names, link, reason, row.try_get("since_ns")?, watch))
}

fn event(row: &AnyRow) -> sqlx::Result<Option<KeptEvent>> {
    let Some(from) = State::named(&text(row, "from_state")?) else { return Ok(None) };
    let first = change(text_if(row, "first_change")?.as_deref(), row.try_get("first_ns")?);
    let at_s = seconds(row, "at_ns")?.unwrap_or(0);
    Ok(state(row)?.map(|now| KeptEvent { at_s, from, now, first }))
}

fn alert(row: &AnyRow) -> sqlx::Result<KeptAlert> {
    let date = |column| Ok::<_, sqlx::Error>(seconds(row, column)?.map(KeptAlert::date));
    // A list of another version's may be none.
    let links: BTreeMap<String, String> =
        serde_json::from_str(&text(row, "links")?).unwrap_or_default();
    Ok(KeptAlert {
        id: text(row, "id")?,
        kind: text(row, "kind")?,
        name: text(row, "name")?,
        severity: text(row, "severity")?,
        title: text(row, "title")?,
        links: links.into_keys().collect(),
        since: date("since_ns")?.unwrap_or_default(),
        ended: date("ended_ns")?,
        remark: text_if(row, "remark")?,
        owner: text_if(row, "owner")?,
        until: date("until_ns")?,
        watch: text(row, "watch")?,
    })
}

fn maintenance(row: &AnyRow) -> sqlx::Result<Maintenance> {
    Ok(Maintenance {
        id: text(row, "id")?,
        link: text(row, "link")?,
        from_s: seconds(row, "from_ns")?.unwrap_or(0),
        until_s: seconds(row, "until_ns")?.unwrap_or(0),
        reason: text(row, "reason")?,
        ticket: text_if(row, "ticket")?,
        by: text_if(row, "by_user")?,
        entered_s: seconds(row, "entered_ns")?.unwrap_or(0),
        ended_s: seconds(row, "ended_ns")?,
        ended_by: text_if(row, "ended_by")?,
        remark: text_if(row, "remark")?,
    })
}

fn note(row: &AnyRow) -> sqlx::Result<Option<Note>> {
    let kind = text(row, "kind")?;
    let Some(kind) = NoteKind::ALL.into_iter().find(|it| it.name() == kind) else {
        return Ok(None);
    };
    Ok(Some(Note {
        id: text(row, "id")?,
        link: text(row, "link")?,
        kind,
        from_s: seconds(row, "from_ns")?.unwrap_or(0),
        until_s: seconds(row, "until_ns")?.unwrap_or(0),
        ticket: text_if(row, "ticket")?,
        text: text_if(row, "text")?,
        by: text_if(row, "by_user")?,
        entered_s: seconds(row, "entered_ns")?.unwrap_or(0),
    }))
}
