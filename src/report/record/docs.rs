//! The record as its readers see it: `report.schema.json` and the reference in `docs/report.md`,
//! both made of the types. To accept a change of the interface:
//! `UPDATE_SCHEMA=1 cargo test schema`.
//!
//! The reference is made of the schema, field by field, each number with its unit. The order of
//! fields is that of the source, because a schema has them by the alphabet.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What stands between the introduction, which is written by hand, and the reference.
const MARK: &str = "<!-- Made of the types: UPDATE_SCHEMA=1 cargo test schema -->\n";

/// The type of the whole document.
const ROOT: &str = "Report";

/// How many places of a type its section lists.
const PLACES_MAX: usize = 4;

/// Where the types stand.
const SOURCES: [&str; 17] = [
    include_str!("../record.rs"),
    include_str!("../../direction.rs"),
    include_str!("../../account/asked.rs"),
    include_str!("../../account/host.rs"),
    include_str!("../../account/moved.rs"),
    include_str!("../../account/outcome.rs"),
    include_str!("../../account/probes.rs"),
    include_str!("../../account/receiver.rs"),
    include_str!("../../account/sender.rs"),
    include_str!("../../account/series.rs"),
    include_str!("../../account/silences.rs"),
    include_str!("../../account/stored.rs"),
    include_str!("../../account/tcp.rs"),
    include_str!("../../account/throughput.rs"),
    include_str!("../../account/wall_clock.rs"),
    include_str!("../../framing.rs"),
    include_str!("../../plan/inventory.rs"),
];

/// Types of numbers: a field of such a type has a unit.
const NUMBERS: [&str; 5] = ["Delays", "Percentiles", "PerDirection", RANGE, "Series"];

const RANGE: &str = "Range_of_uint64";

/// Units that a field's name ends with.
const SUFFIXES: [(&str, &str); 14] = [
    ("bit_s", "bit/s"),
    ("packets_s", "packets/s"),
    ("octets", "octets"),
    ("packets", "packets"),
    ("segments", "segments"),
    ("seconds", "seconds"),
    ("ns", "ns"),
    ("us", "us"),
    ("us_sum", "us"),
    ("us_min", "us"),
    ("us_max", "us"),
    ("ppm", "ppm"),
    ("ratio", "ratio"),
    ("s", "s"),
];

/// Units that a description states: they hold before any other.
const STATED: [(&str, &str); 7] = [
    ("in `unit`", "see `unit`"),
    ("in the unit of the series", "of the series"),
    ("in ns", "ns"),
    ("in us", "us"),
    ("in packets", "packets"),
    ("version of the protocol", "version"),
    ("as a ratio", "ratio"),
];

/// What a description says is counted. The first in the description holds.
const COUNTED: [(&str, &str); 9] = [
    ("octets", "octets"),
    ("packets", "packets"),
    ("probes", "probes"),
    ("datagrams", "datagrams"),
    ("index", "index"),
    ("sequence numbers", "sequence number"),
    ("sequence number", "sequence number"),
    ("number of", "count"),
    ("number", "number"),
];

/// A field of an object.
struct Field<'a> {
    name: &'a str,
    schema: &'a Value,
}

impl Field<'_> {
    /// What it means, on one line.
    fn meaning(&self) -> String {
        meaning(self.schema)
    }

    /// The unit of its numbers: as its description states it, by its name, or else by what its
    /// description says is counted.
    fn unit(&self) -> Option<&'static str> {
        let meaning = self.meaning().to_lowercase();
        let stated = STATED.iter().find(|(words, _)| place_of(words, &meaning).is_some());
        let ends = |suffix: &str| {
            let rest = self.name.strip_suffix(suffix);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        };
        let named = SUFFIXES.iter().find(|(suffix, _)| ends(suffix));
        let counted = COUNTED.iter().filter(|(words, _)| place_of(words, &meaning).is_some());
        let counted = counted.min_by_key(|(words, _)| place_of(words, &meaning));
        stated.or(named).or(counted).map(|(_, unit)| *unit)
    }

    fn is_number(&self) -> bool {
        let (parts, target) = parts(self.schema);
        parts.iter().any(|part| ["integer", "number"].contains(part))
            || target.is_some_and(|target| NUMBERS.contains(&target))
    }
}

/// The schema's types, with the places at which each stands.
struct Reference<'a> {
    schema: &'a Value,
    /// The types as they are first referred to.
    order: Vec<&'a str>,
    places: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> Reference<'a> {
    fn new(schema: &'a Value) -> Self {
        let mut reference = Self { schema, order: Vec::new(), places: BTreeMap::new() };
        reference.visit(ROOT, String::new());
        reference
    }

    /// The schema of the type `name`.
    fn of(&self, name: &str) -> &'a Value {
        if name == ROOT { self.schema } else { &self.schema["$defs"][name] }
    }

    /// The fields of the type `name`, in the order of the source.
    fn fields(&self, name: &str) -> Vec<Field<'a>> {
        let properties = self.of(name)["properties"].as_object();
        let fields = properties.into_iter().flat_map(Map::iter);
        let mut fields: Vec<_> = fields.map(|(name, schema)| Field { name, schema }).collect();
        fields.sort_by_key(|field| place_in_source(name, field.name));
        fields
    }

    fn visit(&mut self, name: &'a str, place: String) {
        if !self.places.contains_key(name) {
            self.order.push(name);
        }
        for field in self.fields(name) {
            // What is of one direction is of the other.
            let Some(target) = parts(field.schema).1.filter(|_| field.name != "reverse") else {
                continue;
            };
            if !["PerDirection", RANGE].contains(&target) {
                let list = if parts(field.schema).0.contains(&"array") { "[]" } else { "" };
                self.visit(target, format!("{place}.{}{list}", field.name));
            }
        }
        self.places.entry(name).or_default().push(place);
    }

    /// The type of a field, in words.
    fn kind(&self, schema: &Value) -> String {
        let (parts, target) = parts(schema);
        let named = target.map(|target| match target {
            RANGE => "`{start, end}`".to_owned(),
            "PerDirection" => {
                let each = &self.of(target)["properties"]["forward"];
                format!("`.forward`, `.reverse`: {}", self.kind(each))
            }
            name => format!("[`{name}`](#{})", name.to_lowercase()),
        });
        let words = parts.iter().filter(|part| !["array", "null"].contains(part));
        let inner: Vec<_> = words.map(|&word| word.to_owned()).chain(named).collect();
        let list = if parts.contains(&"array") { "list of " } else { "" };
        let or_null = if parts.contains(&"null") { " or null" } else { "" };
        format!("{list}{}{or_null}", inner.join(" or "))
    }

    /// The section of the type `name`.
    fn section(&self, name: &str) -> String {
        let schema = self.of(name);
        let mut text = format!("\n### `{name}`\n\n{}\n\n", meaning(schema));
        text += &places(&self.places[name]);
        if let Some(values) = schema["oneOf"].as_array() {
            text += "| value | meaning |\n|---|---|\n";
            for value in values {
                text += &format!("| `{}` | {} |\n", word(&value["const"]), meaning(value));
            }
            return text;
        }
        text += "| field | type | unit | meaning |\n|---|---|---|---|\n";
        for field in self.fields(name) {
            let unit = field.unit().filter(|_| field.is_number()).unwrap_or_default();
            let (kind, meaning) = (self.kind(field.schema), field.meaning());
            text += &format!("| `{}` | {kind} | {unit} | {meaning} |\n", field.name);
        }
        text
    }

    /// All of it.
    fn text(&self) -> String {
        self.order.iter().map(|name| self.section(name)).collect()
    }

    /// Whether a path, such as `.links[].name`, leads to a field or a type.
    fn has(&self, path: &str) -> bool {
        let mut name = ROOT;
        let mut steps = path.split('.').skip(1).peekable();
        while let Some(step) = steps.next() {
            let step = step.trim_end_matches("[]");
            let Some(field) = self.fields(name).into_iter().find(|field| field.name == step) else {
                return false;
            };
            match parts(field.schema).1 {
                Some(target) => name = target,
                None => return steps.peek().is_none(),
            }
        }
        true
    }
}

/// The JSON types that a schema allows, and the type that it refers to.
fn parts(schema: &Value) -> (Vec<&str>, Option<&str>) {
    let mut found: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(word).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let mut target = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let inner = schema["anyOf"].as_array().into_iter().flatten().chain(schema.get("items"));
    for (types, named) in inner.map(parts) {
        found.extend(types);
        target = target.or(named);
    }
    (found, target)
}

/// Where `text` has `words`, whole.
fn place_of(words: &str, text: &str) -> Option<usize> {
    let ends = |at: &usize| !text[at + words.len()..].starts_with(char::is_alphanumeric);
    text.match_indices(words).map(|(at, _)| at).find(ends)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A description on one line, fit for a table.
fn meaning(schema: &Value) -> String {
    let words: Vec<_> = word(&schema["description"]).split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// Where a type stands.
fn places(places: &[String]) -> String {
    let shown = places.iter().take(PLACES_MAX).filter(|place| !place.is_empty());
    let shown: Vec<_> = shown.map(|place| format!("`{place}`")).collect();
    match (shown.is_empty(), places.len().saturating_sub(PLACES_MAX)) {
        (true, _) => String::new(),
        (false, 0) => format!("At {}.\n\n", shown.join(", ")),
        (false, more) => format!("At {} and {more} more.\n\n", shown.join(", ")),
    }
}

/// Fields whose own fields stand in their place, and their types.
const FLATTENED: [(&str, &str); 3] =
    [("outcome", "Outcome"), ("ends", "SiteEnds"), ("inventory", "Inventory")];

/// Where `field` stands in the source of `name`, or in that of the type that is flattened into it.
fn place_in_source(name: &str, field: &str) -> (usize, usize) {
    let name = match name {
        "Delays" => "StoredDelays",
        "Losses" => "StoredLosses",
        "Series" => "Rows",
        name => name,
    };
    let find = |name: &str, field: &str| {
        let body = SOURCES.iter().find_map(|source| {
            let start = source
                .find(&format!("struct {name} {{"))
                .or_else(|| source.find(&format!("struct {name}<")))?;
            source[start..].split("\n}").next()
        });
        let places = ["", "pub "].map(|public| body?.find(&format!("\n    {public}{field}:")));
        places.into_iter().flatten().next()
    };
    let flattened = || {
        FLATTENED.iter().find_map(|(as_field, of)| Some((find(name, as_field)?, find(of, field)?)))
    };
    // What has no source of its own, as an instance of a generic type, is ordered like an outcome.
    let own = find(name, field).map(|place| (place, 0));
    own.or_else(flattened).unwrap_or_else(|| (0, find("Outcome", field).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md");
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/report.schema.json");

    fn schema() -> Value {
        schemars::schema_for!(Report).to_value()
    }

    fn read(path: &str) -> String {
        std::fs::read_to_string(path).expect("it is in the repository")
    }

    /// Whether the file at `path` is `text`; with `UPDATE_SCHEMA` it becomes it.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn is_kept(path: &str, text: &str) {
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(path, text).expect("it is writable");
        }
        assert!(
            read(path) == text,
            "{path} is not that of the types: UPDATE_SCHEMA=1 cargo test schema"
        );
    }

    #[test]
    fn the_schema_in_the_repository_is_that_of_the_types() {
        let schema = schemars::schema_for!(Report);
        is_kept(SCHEMA, &(serde_json::to_string_pretty(&schema).expect("JSON") + "\n"));
    }

    #[test]
    fn the_reference_in_the_docs_is_that_of_the_schema() {
        let docs = read(DOCS);
        let (introduction, _) = docs.split_once(MARK).expect("the docs have the mark");
        is_kept(DOCS, &format!("{introduction}{MARK}{}", Reference::new(&schema()).text()));
    }

    #[test]
    fn each_field_of_the_schema_has_a_meaning_and_each_number_a_unit() {
        let schema = schema();
        let reference = Reference::new(&schema);
        for name in &reference.order {
            assert!(!meaning(reference.of(name)).contains("[`"), "{name}: a link of rustdoc");
            for field in reference.fields(name) {
                let (path, meaning) = (format!("{name}.{}", field.name), field.meaning());
                assert!(!meaning.is_empty(), "{path} has no description");
                assert!(!meaning.contains("[`"), "{path}: a link of rustdoc");
                assert!(!field.is_number() || field.unit().is_some(), "{path} has no unit");
                assert_ne!(place_in_source(name, field.name), (0, 0), "{path}: not in SOURCES");
            }
        }
    }

    #[test]
    fn a_number_without_a_unit_is_seen() {
        let unit = |name, description| {
            let schema =
                serde_json::json!({ "type": ["integer", "null"], "description": description });
            let field = Field { name, schema: &schema };
            assert!(field.is_number());
            field.unit()
        };
        assert_eq!(unit("sent", "What was sent."), None);
        assert_eq!(unit("sent", "Packets sent."), Some("packets"));
        assert_eq!(unit("sent_ns", "When it was sent."), Some("ns"));
        assert_eq!(unit("columns", "What is in use."), None);
        assert_eq!(unit("lateness", "How late packets were sent, in ns."), Some("ns"));
        assert_eq!(unit("low", "The bound, in `unit`, of packets."), Some("see `unit`"));
    }

    #[test]
    fn the_paths_that_the_docs_name_lead_to_fields_of_the_schema() {
        let schema = schema();
        let reference = Reference::new(&schema);
        let docs = read(DOCS);
        let (introduction, _) = docs.split_once(MARK).expect("the docs have the mark");
        let named = introduction.split('`').skip(1).step_by(2);
        let paths: Vec<_> = named.filter(|text| text.starts_with(".links[]")).collect();
        assert!(!paths.is_empty());
        for path in paths {
            assert!(reference.has(path), "{path} leads nowhere");
        }
        assert!(!reference.has(".links[].trials"));
        assert!(!reference.has(".links[].name.first"));
    }
}
