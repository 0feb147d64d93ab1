//! Finding runs, and reading them.

use super::connection::{Store, failed_at};
use super::document::Document;
use super::error::Error;
use crate::account::plain;
use crate::history::{Class, Listed, Listing, People, State};
use crate::report::{Report, date};
use crate::verdict::Verdict;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

/// Which runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of a link: by its name, its circuit or its agent.
    pub link: Option<String>,
    /// Those that began at this time or later, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Those that began before this time.
    pub until_ns: Option<u64>,
    /// Those with this verdict on the link.
    pub verdict: Option<Verdict>,
    /// Those that came so far.
    pub state: Option<State>,
    /// Those of a class.
    pub class: Option<Class>,
    /// So many of them at most.
    pub limit: u32,
}

/// Columns of a listing.
const LISTED: &str = "SELECT runs.run AS run, runs.started_ns AS started_ns, \
                      runs.ended_ns AS ended_ns, due_ns, class, state, label, site, circuit, \
                      run_links.verdict AS verdict, why, reason FROM runs JOIN run_links ON \
                      run_links.run = runs.run";

impl Store {
    /// The links of those runs that fit `filter`, the newest first, at `now_ns`.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn list(&mut self, filter: &Filter, now_ns: u64) -> Result<Listing, Error> {
        let (sql, values) = question(filter);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
            };
        }
        let rows = query.fetch_all(&mut self.connection).await.map_err(failed_at(&self.place))?;
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let found: sqlx::Result<Vec<Listed>> =
            rows.iter().take(limit).map(|row| listed(row, now_ns)).collect();
        let found = found.map_err(failed_at(&self.place))?;
        Ok(Listing { found, has_more: limit < rows.len() })
    }

    /// The name of the one run that begins with `digits`.
    ///
    /// # Errors
    ///
    /// Where none or several do.
    pub async fn find(&mut self, digits: &str) -> Result<String, Error> {
        let digits = digits.to_ascii_lowercase();
        let is_one = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit());
        if !is_one {
            return Err(Error::NoRun(format!(
                "{digits}: not a run: its identifier is of hexadecimal digits, as linkqual history \
                 shows it"
            )));
        }
        // What begins so sorts behind it, and before what has a letter beyond all digits there.
        let sql = "SELECT run FROM runs WHERE run >= $1 AND run < $2 ORDER BY run LIMIT 2";
        let query = sqlx::query(sql).bind(digits.clone()).bind(format!("{digits}g"));
        let rows = query.fetch_all(&mut self.connection).await.map_err(failed_at(&self.place))?;
        match rows.as_slice() {
            [row] => row.try_get("run").map_err(failed_at(&self.place)),
            [] => Err(Error::NoRun(format!(
                "no run in the history at {} begins with {digits}. Try: linkqual history",
                self.place
            ))),
            _ => Err(Error::NoRun(format!(
                "several runs in the history begin with {digits}: give more digits"
            ))),
        }
    }

    /// The report of the run called `run`, with the people that are still kept.
    ///
    /// # Errors
    ///
    /// Where it has none, or it is damaged.
    pub async fn report(&mut self, run: &str) -> Result<Report, Error> {
        let query = sqlx::query("SELECT sha256, gzip FROM documents WHERE run = $1");
        let row = query.bind(run.to_owned()).fetch_optional(&mut self.connection).await;
        let row = row.map_err(failed_at(&self.place))?;
        let Some(row) = row else { return Err(self.without_report(run).await) };
        let document = || -> sqlx::Result<Document> {
            Ok(Document { gzip: row.try_get("gzip")?, sha256: row.try_get("sha256")? })
        };
        let document = document().map_err(failed_at(&self.place))?;
        let damaged = |why: String| Error::Damaged { run: run.to_owned(), why };
        let text = document.text().map_err(damaged)?;
        let mut report = Report::parse(&text).map_err(|error| damaged(error.to_string()))?;
        self.people(run).await?.put_back_into(&mut report);
        Ok(report)
    }

    /// Whether the run called `run` is there.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub async fn has(&mut self, run: &str) -> Result<bool, Error> {
        let query = sqlx::query("SELECT run FROM runs WHERE run = $1").bind(run.to_owned());
        let row = query.fetch_optional(&mut self.connection).await;
        row.map(|row| row.is_some()).map_err(failed_at(&self.place))
    }

    async fn people(&mut self, run: &str) -> Result<People, Error> {
        let query = sqlx::query("SELECT place, person FROM run_people WHERE run = $1");
        let rows = query.bind(run.to_owned()).fetch_all(&mut self.connection).await;
        let people = rows.and_then(|rows| {
            rows.iter().map(|row| Ok((row.try_get("place")?, row.try_get("person")?))).collect()
        });
        people.map(People::read).map_err(failed_at(&self.place))
    }

    /// Why the run called `run` has no report.
    async fn without_report(&mut self, run: &str) -> Error {
        let query = sqlx::query("SELECT state, reason FROM runs WHERE run = $1");
        let row = query.bind(run.to_owned()).fetch_optional(&mut self.connection).await;
        let row = match row {
            Ok(row) => row,
            Err(source) => return failed_at(&self.place)(source),
        };
        let text = |column| row.as_ref()?.try_get::<Option<String>, _>(column).ok().flatten();
        let state = text("state").unwrap_or_else(|| "not known".to_owned());
        let reason = text("reason").map(|why| format!(": {why}")).unwrap_or_default();
        Error::NoRun(format!("run {run} has no report: it is {state}{reason}"))
    }
}

/// A value of a question.
enum Value {
    Text(String),
    Int(i64),
}

/// The question that `filter` asks, and its values.
fn question(filter: &Filter) -> (String, Vec<Value>) {
    let Filter { link, since_ns, until_ns, verdict, state, class, limit } = filter;
    let (mut wanted, mut values) = (Vec::new(), Vec::new());
    let mut want = |columns: &[&str], relation: &str, value: Value| {
        values.push(value);
        let place = values.len();
        let any: Vec<String> =
            columns.iter().map(|column| format!("{column} {relation} ${place}")).collect();
        wanted.push(format!("({})", any.join(" OR ")));
    };
    let time = |ns: u64| Value::Int(i64::try_from(ns).unwrap_or(i64::MAX));
    if let Some(link) = link {
        want(&["label", "circuit", "site"], "=", Value::Text(link.clone()));
    }
    if let Some(since) = since_ns {
        want(&["runs.started_ns"], ">=", time(*since));
    }
    if let Some(until) = until_ns {
        want(&["runs.started_ns"], "<", time(*until));
    }
    if let Some(verdict) = verdict {
        want(&["run_links.verdict"], "=", Value::Text(verdict.to_string()));
    }
    if let Some(state) = state {
        want(&["state"], "=", Value::Text(state.name().to_owned()));
    }
    if let Some(class) = class {
        want(&["class"], "=", Value::Text(class.name().to_owned()));
    }
    let only = if wanted.is_empty() { "" } else { " WHERE " };
    // One more than is shown says whether there are more.
    values.push(Value::Int(i64::from(*limit).saturating_add(1)));
    let sql = format!(
        "{LISTED}{only}{} ORDER BY runs.started_ns DESC, runs.run, place, site LIMIT ${}",
        wanted.join(" AND "),
        values.len()
    );
    (sql, values)
}

fn listed(row: &AnyRow, now_ns: u64) -> sqlx::Result<Listed> {
    let time = |column| -> sqlx::Result<Option<u64>> {
        let ns: Option<i64> = row.try_get(column)?;
        Ok(ns.and_then(|ns| u64::try_from(ns).ok()))
    };
    // Others may write to a shared database.
    let text = |column| -> sqlx::Result<Option<String>> {
        Ok(row.try_get::<Option<String>, _>(column)?.map(|text| plain(&text)))
    };
    let named = |column| Ok::<_, sqlx::Error>(text(column)?.unwrap_or_default());
    let state = named("state")?;
    let state = State::ALL.into_iter().find(|it| it.name() == state).unwrap_or(State::NotRun);
    let class = named("class")?;
    let class = Class::ALL.into_iter().find(|it| it.name() == class).unwrap_or(Class::Manual);
    let is_overdue = time("due_ns")?.is_some_and(|due| due < now_ns);
    let (reason, why) = (text("reason")?, text("why")?);
    let why = match state {
        State::Running if is_overdue => Some(CUT_SHORT.to_owned()),
        State::Ok | State::Partial | State::Aborted => why.or(reason),
        _ => reason.or(why),
    };
    let verdict = text("verdict")?;
    let verdicts = [Verdict::Pass, Verdict::Inconclusive, Verdict::Invalid, Verdict::Fail];
    Ok(Listed {
        run: named("run")?,
        started_at: time("started_ns")?.map(date).unwrap_or_default(),
        ended_at: time("ended_ns")?.map(date),
        class,
        state: if state == State::Running && is_overdue { State::Aborted } else { state },
        link: named("label")?,
        site: named("site")?,
        circuit: text("circuit")?,
        verdict: verdicts.into_iter().find(|it| Some(it.to_string()) == verdict),
        why,
    })
}

/// What is said of a run whose end nobody wrote.
const CUT_SHORT: &str = "cut short: linkqual ended without writing why";
