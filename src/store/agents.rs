//! The agents that runs have met.

use super::connection::{Store, failed_at};
use super::error::Error;
use crate::account::plain;
use crate::history::AgentSeen;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Of each key the newest run in which an agent with it answered.
const SEEN: &str = "SELECT agent_key, agent_address, agent_program, run, began_ns, place, site \
    FROM (SELECT agent_key, agent_address, agent_program, run_paths.run AS run, \
    runs.started_ns AS began_ns, place, site, ROW_NUMBER() OVER (PARTITION BY agent_key \
    ORDER BY runs.started_ns DESC, run_paths.run, place, site) AS age \
    FROM run_paths JOIN runs ON runs.run = run_paths.run \
    WHERE agent_key IS NOT NULL AND agent_program IS NOT NULL) AS met \
    WHERE age = 1 ORDER BY agent_key";

impl Store {
    /// The agents that answered in some run, each as it was in the newest.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn agents_seen(&mut self) -> Result<Vec<AgentSeen>, Error> {
        let rows = sqlx::query(SEEN).fetch_all(&mut self.connection).await;
        let seen = rows.and_then(|rows| rows.iter().map(seen).collect());
        seen.map_err(failed_at(&self.place))
    }
}

fn seen(row: &AnyRow) -> sqlx::Result<AgentSeen> {
    let number = |column| row.try_get::<i64, _>(column);
    // A database that others write may hold what no terminal should be sent.
    let text = |column| {
        let text: Option<String> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(text.map(|text| plain(&text)))
    };
    Ok(AgentSeen {
        key: text("agent_key")?.unwrap_or_default(),
        address: text("agent_address")?,
        program: text("agent_program")?,
        run: row.try_get("run")?,
        started_ns: u64::try_from(number("began_ns")?).unwrap_or(0),
        place: usize::try_from(number("place")?).unwrap_or(usize::MAX),
        site: row.try_get("site")?,
    })
}
