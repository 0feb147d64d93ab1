//! The tables of the history, and rows for them: what is written, copied and moved is one list.

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Int,
    /// A number.
    Real,
    /// Octets.
    Octets,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// A table; of those in [`TABLES`] each row is of one run.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in their order; "run" is the first of those in [`TABLES`].
    pub columns: &'static [Column],
}

macro_rules! tables {
    ($($name:literal { $($kind:ident: $($column:literal)+;)+ })+) => {
        &[$(Table {
            name: $name,
            columns: &[$($(Column { name: $column, kind: Kind::$kind },)+)+],
        },)+]
    };
}

/// Every table of runs, that of the runs themselves first. What was done to the history, in
/// `audit`, outlives the runs that it is about.
pub const TABLES: &[Table] = tables! {
    "runs" {
        Text: "run" "class" "state" "verdict" "reason" "command" "plan_file" "plan_sha256"
            "program";
        Int: "started_ns" "ended_ns" "due_ns" "recorded_ns";
    }
    "run_links" {
        Text: "run"; Int: "place"; Text: "site" "label" "link" "circuit" "provider" "verdict" "why";
        Int: "started_ns" "ended_ns";
    }
    "run_trials" {
        Text: "run"; Int: "place"; Text: "site"; Int: "trial";
        Text: "direction" "load" "status" "verdict" "reason";
        Int: "started_ns" "duration_ns" "offered_bit_s" "carried_bit_s" "goodput_bit_s"
            "required_bit_s";
        Real: "headroom_ratio";
        Int: "sent" "received" "lost";
        Real: "loss_ratio";
        Int: "outages";
        Real: "longest_outage_s" "variation_us" "delay_min_us" "delay_p50_us" "delay_p95_us"
            "delay_p99_us" "delay_max_us";
    }
    "run_findings" {
        Text: "run"; Int: "number" "place"; Text: "site"; Int: "trial";
        Text: "direction" "metric" "verdict";
        Real: "bound" "value" "low" "high";
        Text: "unit" "reason";
    }
    "run_caveats" {
        Text: "run"; Int: "number" "place"; Text: "site"; Int: "trial";
        Text: "direction" "metrics" "bias" "caveat";
    }
    "run_paths" {
        Text: "run"; Int: "place";
        Text: "site" "driver_address" "agent_address" "agent_program" "driver_key" "agent_key";
        Int: "path_mtu_octets" "tried_octets";
    }
    "run_people" { Text: "run" "place" "person"; }
    "documents" { Text: "run" "sha256"; Octets: "gzip"; }
    "audit" { Text: "run"; Int: "at_ns"; Text: "action" "by_user" "reason"; }
};

/// The tables of links that are watched, each with how many of its first columns are its key. The
/// last column is when a row was changed: where two histories are joined, the newer one stays.
pub const WATCHED: &[(usize, Table)] = {
    const TABLES: &[Table] = tables! {
        "link_states" {
            Text: "link" "subject" "state" "cause" "reason"; Int: "since_ns"; Text: "watch";
            Int: "changed_ns";
        }
        "state_events" {
            Text: "link" "subject"; Int: "at_ns"; Text: "from_state" "state" "cause" "reason";
            Int: "since_ns"; Text: "first_change"; Int: "first_ns"; Text: "watch";
            Int: "changed_ns";
        }
        "watches" {
            Text: "watch" "program"; Int: "started_ns" "links" "ended_ns" "changed_ns";
        }
        "alerts" {
            Text: "id" "kind" "name" "severity" "title" "links";
            Int: "since_ns" "seen_ns" "ended_ns";
            Text: "remark" "owner"; Int: "until_ns"; Text: "watch"; Int: "changed_ns";
        }
        "acknowledgements" {
            Text: "alert"; Int: "at_ns"; Text: "owner"; Int: "until_ns"; Text: "by_user";
            Int: "changed_ns";
        }
        "maintenance" {
            Text: "id" "link"; Int: "from_ns" "until_ns"; Text: "reason" "ticket" "by_user";
            Int: "entered_ns" "ended_ns"; Text: "ended_by" "remark"; Int: "changed_ns";
        }
        "notes" {
            Text: "id" "link" "kind"; Int: "from_ns" "until_ns"; Text: "ticket" "text" "by_user";
            Int: "entered_ns" "changed_ns";
        }
    };
    let [states, events, watches, alerts, acknowledgements, maintenance, notes] = TABLES else {
        unreachable!()
    };
    &[
        (2, *states),
        (3, *events),
        (1, *watches),
        (1, *alerts),
        (2, *acknowledgements),
        (1, *maintenance),
        (1, *notes),
    ]
};

/// The table of that name.
fn table(name: &str) -> Option<&'static Table> {
    let watched = WATCHED.iter().map(|(_, table)| table);
    TABLES.iter().chain(watched).find(|table| table.name == name)
}

/// A value of a row; `None` where it is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Int(Option<i64>),
    /// A number.
    Real(Option<f64>),
    /// Octets.
    Octets(Option<Vec<u8>>),
}

impl Cell {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }

    /// A count, as far as a column holds it.
    #[must_use]
    pub fn count(count: u64) -> Self {
        Self::counted(Some(count))
    }

    /// A count that may be missing.
    #[must_use]
    pub fn counted(count: Option<u64>) -> Self {
        Self::Int(count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// A place in a list.
    #[must_use]
    pub fn place(place: usize) -> Self {
        Self::Int(i64::try_from(place).ok())
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Int(_) => Kind::Int,
            Self::Real(_) => Kind::Real,
            Self::Octets(_) => Kind::Octets,
        }
    }
}

/// A row of the table of that name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The table.
    pub table: &'static str,
    /// Its cells, in the order of the table's columns.
    pub cells: Vec<Cell>,
}

impl Row {
    /// The row of `table` with these cells, each beside the name of its column.
    ///
    /// # Panics
    ///
    /// Where they are not the table's columns: that is a fault of this program.
    #[must_use]
    pub fn new(table: &'static str, cells: Vec<(&'static str, Cell)>) -> Self {
        let columns = self::table(table).into_iter().flat_map(|of| of.columns);
        let expected = columns.map(|column| (column.name, column.kind));
        assert!(
            expected.eq(cells.iter().map(|(name, cell)| (*name, cell.kind()))),
            "{table} has no such columns: {cells:?}"
        );
        Self { table, cells: cells.into_iter().map(|(_, cell)| cell).collect() }
    }
}
