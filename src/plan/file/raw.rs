//! A plan as it is written: text in, fields with their places out.
//!
//! The structs here are the plan's shape: the keys that a table may have, the kind of each, and the
//! schema that editors read. Whether the fields make sense together is judged elsewhere.

use super::fault::{Fault, Octets, Place, nearest, repeated};
use super::kinds::{
    Address, Amount, At, Bucket, Burst, Congestion, Counts, Course, Day, DayOrTime, Device,
    Fraction, Grave, IdleLength, KeyPath, Kind, LeadTime, Length, LinkName, Mark, Members, Model,
    Name, Offered, Opens, Overhead, Portion, Probes, PutOff, Rate, Rise, Role, SiteName, Size,
    Source, Streams, Sure, Tags, Takes, Text, When, Whole, Witnessed, Zone,
};
use crate::metric::{Metric, Reach};
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
#[cfg(test)]
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key that is there.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    /// Where it stands.
    pub(super) place: Place,
    /// Its value; `None` where that is wrong, which has been reported.
    pub(super) value: Option<T>,
}

impl<T> Given<T> {
    /// Its value and its place, where it has a value.
    pub(super) fn whole(&self) -> Option<(&T, &Place)> {
        self.value.as_ref().map(|value| (value, &self.place))
    }
}

/// A key that may be there.
pub(super) type Maybe<T> = Option<Given<T>>;

/// Its value, where it is there and right.
pub(super) fn value<T>(field: &Maybe<T>) -> Option<&T> {
    field.as_ref()?.value.as_ref()
}

#[cfg(test)]
impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The reader of one file.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// What the file is.
    file: &'static str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What is wrong so far.
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { text, file: "a plan", lines, faults: Vec::new() }
    }

    /// The whole file; `None` where it is no TOML, of which all that is wrong is reported.
    pub(super) fn plan(&mut self) -> Option<RawPlan> {
        self.whole(RawPlan::from_table)
    }

    /// The same of a file of blackouts.
    pub(super) fn blackouts(&mut self) -> Option<RawBlackoutFile> {
        self.file = "a file of blackouts";
        self.whole(RawBlackoutFile::from_table)
    }

    fn whole<T>(
        &mut self,
        from_table: impl FnOnce(&mut Self, &Place, &DeTable<'_>) -> T,
    ) -> Option<T> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Some(from_table(self, &Place::absent(""), table.get_ref()));
        }
        for error in errors {
            let end = self.text.len();
            let span = error.span().unwrap_or(end..end);
            let place = Place {
                line: self.line(span.start),
                mark: Some(octets(&span)),
                ..Place::default()
            };
            let what: Vec<&str> = error.message().split_whitespace().collect();
            let near = self.shown(span).map(|near| format!(", at {near}")).unwrap_or_default();
            self.fault(&place, format!("not TOML: {}{near}", what.join(" ")));
        }
        None
    }

    /// `what` is wrong at `place`.
    pub(super) fn fault(&mut self, place: &Place, what: impl Into<String>) -> &mut Fault {
        self.faults.push(Fault::new(place, what));
        self.faults.last_mut().expect("it was put there")
    }

    /// The number of the line that holds the octet `at`.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The file's text there; `None` where there is none.
    fn shown(&self, span: Range<usize>) -> Option<String> {
        let text = self.text.get(span)?;
        (!text.is_empty()).then(|| repeated(text))
    }

    fn place(&self, name: String, key: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Place {
        let is_table = |value: &Spanned<DeValue<'_>>| value.get_ref().is_table();
        let has_text = match value.get_ref() {
            DeValue::Table(_) => false,
            DeValue::Array(items) => !items.iter().any(is_table),
            _ => true,
        };
        let (line, key) = (self.line(key.start), octets(key));
        let mark = if has_text { octets(&value.span()) } else { key };
        let value = has_text.then(|| self.shown(value.span())).flatten();
        Place { line, name, value, key: Some(key), mark: Some(mark) }
    }

    fn given<T: Read>(&mut self, place: Place, value: &DeValue<'_>) -> Given<T> {
        let value = T::read(self, &place, value);
        Given { place, value }
    }

    /// The key `key` of `table`.
    fn take<T: Read>(&mut self, of: &Place, table: &DeTable<'_>, key: &str) -> Maybe<T> {
        let (written, value) = table.get_key_value(key)?;
        let place = self.place(of.field(key).name, &written.span(), value);
        Some(self.given(place, value.get_ref()))
    }

    /// Reports each key of `table` that is none of `known`.
    fn unknown(&mut self, of: &Place, table: &DeTable<'_>, known: &[&str]) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = self.place(of.field(&quoted(name)).name, &key.span(), value).of_key();
            if let Some(table) = table_with(&of.name, name) {
                self.fault(
                    &place,
                    format!("belongs in [{table}]: it is of both directions together"),
                );
                continue;
            }
            if !of.name.is_empty() && name == "idle" {
                self.fault(&place, "belongs above the plan's first table: it is of all its tests");
                continue;
            }
            let meant = nearest(name, known.iter().copied());
            let table = if of.name.is_empty() { self.file } else { &of.name };
            let help = format!("{table} has {}", known.join(", "));
            self.fault(&place, "no such key").suggest(meant, help);
        }
    }

    fn wrong_type(&mut self, place: &Place, value: &DeValue<'_>, belongs: &str) {
        let what = format!("{} where {belongs} belongs", type_of(value));
        self.fault(place, what);
    }
}

const fn octets(span: &Range<usize>) -> Octets {
    (span.start, span.end)
}

/// The table around `of`, where that has the key and `of` has not.
fn table_with<'a>(of: &'a str, key: &str) -> Option<&'a str> {
    let around = of.strip_suffix(".forward").or_else(|| of.strip_suffix(".reverse"))?;
    let keys = match around.rsplit('.').next() {
        Some("require") => RawRequire::keys(),
        _ => RawLink::keys(),
    };
    keys.contains(&key).then_some(around)
}

/// What a value is, in words.
const fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A key as it has to be written.
fn quoted(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) {
        repeated(key)
    } else {
        format!("\"{}\"", repeated(key))
    }
}

/// What can be read from a value.
trait Read: Sized {
    /// `None` where the value is none; why has been reported.
    fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self>;
}

fn read_text<T: Text>(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<T> {
    let Some(text) = value.as_str() else {
        reader.wrong_type(place, value, &format!("a string such as \"{}\"", T::EXAMPLE));
        return None;
    };
    T::parse(text)
        .map_err(|why| {
            reader.fault(place, why);
        })
        .ok()
}

fn read_whole<T: Whole>(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<T> {
    let (least, most) = T::BOUNDS;
    let Some(number) = value.as_integer() else {
        let belongs = format!("an integer from {least} to {most}, without quotes,");
        reader.wrong_type(place, value, &belongs);
        return None;
    };
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let within = number.and_then(|number| u32::try_from(number).ok());
    let within = within.filter(|number| (least..=most).contains(number));
    if within.is_none() {
        reader.fault(place, format!("from {least} to {most} are allowed"));
    }
    within.map(T::of)
}

impl Read for bool {
    fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
        let flag = value.as_bool();
        if flag.is_none() {
            reader.wrong_type(place, value, "true or false, without quotes,");
        }
        flag
    }
}

macro_rules! read {
    ($with:ident: $($kind:ty),*) => {$(
        impl Read for $kind {
            fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
                $with(reader, place, value)
            }
        }
    )*};
}

read!(read_text: Address, Congestion, Counts, Course, Device, Fraction, Grave, IdleLength,
      KeyPath, Kind, LeadTime, Length, LinkName, Mark, Model, Name, Offered, Opens, Portion,
      PutOff, Rate, Rise, Role, SiteName, Source, Sure, Takes, When, Witnessed, Zone);
read!(read_date: At, Day, DayOrTime);
read!(read_whole: Bucket, Burst, Members, Overhead, Probes, Size, Streams, Tags);

fn read_date<T: Text>(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<T> {
    // TOML has days and times of its own; one in quotes is the same.
    let DeValue::Datetime(at) = value else { return read_text(reader, place, value) };
    read_text(reader, place, &DeValue::String(at.to_string().into()))
}

/// A price stands without quotes, with a fraction or without.
impl Read for Amount {
    fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
        let text = match value {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => {
                reader.wrong_type(place, value, "a number such as 0.08, without quotes,");
                return None;
            }
        };
        let amount = text.replace('_', "").parse().ok().and_then(Self::of);
        if amount.is_none() {
            reader.fault(place, "not a price: from 0 to 1000000000 is allowed");
        }
        amount
    }
}

/// A list of texts, each with its place.
#[derive(Clone, Debug)]
pub(super) struct ListOf<T>(pub(super) Vec<Given<T>>);

impl<T> ListOf<T> {
    /// Those that are right.
    pub(super) fn whole(&self) -> impl Iterator<Item = (&T, &Place)> {
        self.0.iter().filter_map(Given::whole)
    }
}

impl<T: Text + Read> Read for ListOf<T> {
    fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
        let belongs = format!("an array of strings such as [\"{}\"]", T::EXAMPLE);
        items(reader, place, value, &belongs).map(Self)
    }
}

#[cfg(test)]
impl<T: JsonSchema> JsonSchema for ListOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = T::json_schema(generator);
        json_schema!({ "type": "array", "items": item, "minItems": 1 })
    }
}

/// Which metrics a table bounds.
pub(super) trait Bounded {
    /// What of the link the table is about, behind what a bound asks.
    #[cfg(test)]
    const WHICH: &'static str;

    /// Whether `metric` is one of them.
    fn includes(metric: Metric) -> bool;
}

/// All: a bound of a metric that each direction has is of both.
#[derive(Clone, Debug, Default)]
pub(super) struct OfBoth;

impl Bounded for OfBoth {
    #[cfg(test)]
    const WHICH: &'static str = ", in each direction";

    fn includes(_metric: Metric) -> bool {
        true
    }
}

/// Those that each direction has.
#[derive(Clone, Debug, Default)]
pub(super) struct OfOne;

impl Bounded for OfOne {
    #[cfg(test)]
    const WHICH: &'static str = "";

    fn includes(metric: Metric) -> bool {
        metric.about().reach == Reach::EachDirection
    }
}

/// The bounds of a table: a key for each metric that it may bound, by its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds<B>(pub(super) Vec<(Metric, Given<String>)>, PhantomData<B>);

impl<B: Bounded> Bounds<B> {
    fn metrics() -> impl Iterator<Item = Metric> {
        Metric::ALL.iter().copied().filter(|metric| B::includes(*metric))
    }

    fn keys() -> impl Iterator<Item = &'static str> {
        Self::metrics().map(Metric::name)
    }

    /// These, and those of `base` of other metrics, in the order of the metrics.
    fn over(&self, base: &Self) -> Self {
        let of = |bounds: &Self, metric: Metric| {
            bounds.0.iter().find(|(other, _)| *other == metric).cloned()
        };
        let metrics = Self::metrics();
        Self(metrics.filter_map(|it| of(self, it).or_else(|| of(base, it))).collect(), PhantomData)
    }

    fn take(reader: &mut Reader<'_>, place: &Place, table: &DeTable<'_>) -> Self {
        let mut bounds = Vec::new();
        for metric in Self::metrics() {
            let Some((written, value)) = table.get_key_value(metric.name()) else { continue };
            let name = place.field(metric.name()).name;
            let place = reader.place(name, &written.span(), value);
            let text = value.get_ref().as_str().map(str::to_owned);
            if text.is_none() {
                let example = metric.about().example;
                let belongs = format!("a string such as \"{example}\"");
                reader.wrong_type(&place, value.get_ref(), &belongs);
            }
            bounds.push((metric, Given { place, value: text }));
        }
        Self(bounds, PhantomData)
    }

    /// Adds them to the schema of their table.
    #[cfg(test)]
    fn describe(schema: &mut Schema) {
        let object = schema.ensure_object();
        let properties = object.entry("properties").or_insert_with(|| json_schema!({}).into());
        let properties = properties.as_object_mut().expect("an object's properties are one");
        for metric in Self::metrics() {
            let about = metric.about();
            let which = if about.reach == Reach::EachDirection { B::WHICH } else { "" };
            let described = json_schema!({
                "description": format!("{}{which}.", about.asks),
                "type": "string",
                "examples": [about.example],
                "pattern": super::kinds::pattern(about.kind),
            });
            properties.insert(metric.name().to_owned(), described.into());
        }
    }
}

/// A table: its keys, each with what is read from it, behind those of the metrics that it bounds.
macro_rules! table {
    ($($(#[$doc:meta])* $name:ident $(bounds $bounded:ident)? {
        $($(#[$key_doc:meta])* $key:ident: $kind:ty,)*
    })*) => {$(
        #[derive(Clone, Debug, Default)]
        #[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
        $(#[cfg_attr(test, schemars(transform = Bounds::<$bounded>::describe))])?
        $(#[$doc])*
        pub(super) struct $name {
            $(#[cfg_attr(test, schemars(skip))] pub(super) bounds: Bounds<$bounded>,)?
            $($(#[$key_doc])* pub(super) $key: Maybe<$kind>,)*
        }

        impl $name {
            /// The keys that it may have.
            fn keys() -> Vec<&'static str> {
                let bounds = [].into_iter()$(.chain(Bounds::<$bounded>::keys()))?;
                bounds.chain([$(stringify!($key)),*]).collect()
            }

            fn from_table(reader: &mut Reader<'_>, place: &Place, table: &DeTable<'_>) -> Self {
                reader.unknown(place, table, &Self::keys());
                Self {
                    $(bounds: Bounds::<$bounded>::take(reader, place, table),)?
                    $($key: reader.take(place, table, stringify!($key)),)*
                }
            }
        }

        impl Read for $name {
            fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
                let Some(table) = value.as_table() else {
                    reader.wrong_type(place, value, &format!("a table [{}]", place.name));
                    return None;
                };
                Some(Self::from_table(reader, place, table))
            }
        }
    )*};
}

table! {
    /// What will be qualified: a link, its far ends, what it must do, and the tests to run.
    #[cfg_attr(test, schemars(rename = "Plan"))]
    RawPlan {
        /// How long the idle line is probed before the first load, towards each site: from 1 s to
        /// 10 min; 10 s if not given. What the requirements need is longer, and a test of kind idle
        /// may be. It stands above the first table.
        idle: IdleLength,
        /// The link, as its provider sells it. A plan of several has [links.NAME] instead.
        link: RawLink,
        /// Several links, each under a name of 1 to 63 printable characters: [links.NAME].
        links: RawLinks,
        /// The near end: where linkqual runs.
        driver: RawDriver,
        /// The far ends, each under a name of 1 to 63 printable characters: [sites.NAME].
        sites: RawSites,
        /// What each link must do in each direction; without any of it, nothing can pass. A file
        /// that has nothing else is enough for `linkqual judge --require`.
        require: RawRequire,
        /// The tests, in the order in which they run towards each site: [[test]]. Those of every
        /// link that has none of its own.
        #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
        test: RawTests,
        /// When `linkqual watch` runs the tests again and again. That of every link that has none
        /// of its own.
        schedule: RawSchedule,
        /// When links are worked on: [[maintenance]]. They are probed and not judged then, not
        /// loaded, and nobody is alerted.
        #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
        maintenance: RawMaintenances,
        /// How `linkqual watch` probes every link all the time.
        watch: RawWatch,
        /// What ends a load within a second: [[abort_if]]. Those of every link that has none of its
        /// own. A scheduled load of a link in service without any ends where the RTT rises by 50 ms
        /// or 2% of the probes are lost.
        #[cfg_attr(test, schemars(length(min = 1, max = 16)))]
        abort_if: RawAborts,
        /// How traffic is billed, for `linkqual schedule`. That of every link that has none of its
        /// own.
        billing: RawBilling,
    }

    /// How links are probed all the time.
    #[cfg_attr(test, schemars(rename = "Watch"))]
    RawWatch {
        /// Probes per second of each link, 1 to 100; 20 if not given. Fewer on a link of which
        /// they would take more than a tenth.
        probes_per_second: Probes,
    }

    /// A link, as its provider sells it.
    #[cfg_attr(test, schemars(rename = "Link"))]
    RawLink {
        /// What its users call it. A link of several is called by its table: [links.NAME].
        name: Name,
        /// The provider's circuit ID: shown in the report; only one load at a time runs on it. That
        /// of `provider` if not given.
        circuit: Name,
        /// Who provides it: a name, or a table with what the provider asks for on the telephone.
        provider: RawProvider,
        /// What the port carries.
        port_rate: Rate,
        /// Committed rate (CIR), in each direction.
        rate: Rate,
        /// The committed burst size (CBS): what the provider's policer or shaper lets through
        /// beside that rate after an idle time. 65536 if not given.
        cbs_bytes: Bucket,
        /// Which layer every rate of the link counts: L1 wire, L2 frame, L3 packet, L4 payload.
        /// L2 if not given.
        rate_layer: Counts,
        /// 802.1Q tags on the link; 0 if not given.
        vlan_tags: Tags,
        /// Further octets of each packet that rates count (MPLS 4 a label, PPPoE 8, VXLAN 50); 0 if
        /// not given.
        extra_overhead_bytes: Overhead,
        /// From the driver to an agent, where it differs.
        forward: RawDirection,
        /// From an agent to the driver, where it differs.
        reverse: RawDirection,
        /// The physical links of the bundle (LAG, 2 to 16) that it is: tests that say nothing of
        /// streams then send from 48 source ports or more, so that hashing uses every member.
        members: Members,
        /// Whose it is on your side: shown in the report.
        owner: Name,
        /// Until when it is ordered: shown in the report.
        contract: RawContract,
        /// primary, backup, or member of several that carry the traffic together.
        role: Role,
        /// The primary link that this backup is for, by its name. Of [links.NAME] alone.
        protects: LinkName,
        /// What it shares with other links, such as "pe1" or "fibre-7": links that share anything
        /// never load at once. Of [links.NAME] alone.
        shares: ListOf<Name>,
        /// Its far ends, by their names in [sites]. Of [links.NAME] alone.
        sites: ListOf<SiteName>,
        /// The address of this host that all is sent from on this link; that of [driver] if not
        /// given. Of [links.NAME] alone.
        source: Source,
        /// The interface of this host that all is sent by on this link; that of [driver] if not
        /// given. Of [links.NAME] alone.
        device: Device,
        /// What this link must do: key by key in the place of what [require] says. Of [links.NAME]
        /// alone.
        require: RawRequire,
        /// When `linkqual watch` runs the tests of this link, in the place of what [schedule] says.
        /// Of [links.NAME] alone.
        schedule: RawSchedule,
        /// How bad it is when the link fails: critical, warning or info; critical if not given.
        severity: Grave,
        /// false: nobody uses the link yet, or any more, so that a schedule may load it in full;
        /// true if not given: a schedule then loads it with a share of its committed rate.
        in_service: bool,
        /// true: no load without the ID of a change: `--change ID`, or `change` in its schedule;
        /// false if not given.
        require_change: bool,
        /// What ends a load of this link within a second, in the place of the plan's [[abort_if]].
        #[cfg_attr(test, schemars(length(min = 1, max = 16)))]
        abort_if: RawAborts,
        /// How traffic on this link is billed, in the place of the plan's [billing].
        billing: RawBilling,
        /// The tests of this link, in the place of the plan's: [[links.NAME.test]]. Of [links.NAME]
        /// alone.
        #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
        test: RawTests,
    }

    /// When a plan is run again and again.
    RawSchedule {
        /// Minute, hour, day of the month, month and day of the week, as cron has them:
        /// "30 2 * * *".
        #[cfg_attr(test, schemars(required))]
        cron: When,
        /// The time zone that this and the windows count in, such as "Asia/Shanghai" or "UTC".
        #[cfg_attr(test, schemars(required))]
        zone: Zone,
        /// Each start is put off by a random part of this, up to 6 h; 0 s if not given.
        jitter: PutOff,
        /// When the link may be loaded, such as ["mon-fri 01:00-05:00"]: a run that does not fit
        /// is missed. Needed where the tests load it.
        windows: ListOf<Opens>,
        /// The most of the committed rate that a link in service is loaded with; 50% if not given.
        share: Portion,
        /// The ID of the change that allows the loads, where the link has require_change.
        change: Name,
        /// true: load also while no time service keeps this host's clock; false if not given.
        allow_unsynchronised_clock: bool,
    }

    /// What ends a load within a second: any of its keys.
    #[cfg_attr(test, schemars(rename = "AbortIf"))]
    RawAbort {
        /// By how much the RTT of the probes may rise above that of the idle link, such as "20 ms".
        rtt_rise: Rise,
        /// How many of the newest probes may be lost, such as "1%".
        loss: Fraction,
        /// How much of the outgoing interface other traffic may use, such as "80%".
        interface_utilisation: Fraction,
        /// The address of another host whose answers rtt_rise and loss are about, in the place of
        /// the agent's: pinged, or its STAMP reflector asked where it has a port, "10.2.0.9:862".
        witness: Witnessed,
    }

    /// Times in which nothing is loaded, whatever plans say.
    RawBlackoutFile {
        /// A time, or a calendar of times: [[blackout]].
        blackout: RawBlackouts,
    }

    /// A time in which nothing is loaded, or a calendar of such times.
    RawBlackout {
        /// When it begins: a day from its start, a time, or a time with its offset.
        from: DayOrTime,
        /// When it ends: a day to its end, a time, or a time with its offset.
        to: DayOrTime,
        /// The zone that these count in where they have no offset, such as "Asia/Shanghai".
        zone: Zone,
        /// The links that it is about, by their names.
        links: ListOf<LinkName>,
        /// The circuits that it is about. Without either: all links.
        circuits: ListOf<Name>,
        /// Why.
        reason: Name,
        /// A calendar (iCalendar) whose events are such times, relative to this file.
        ics: KeyPath,
    }

    /// How a provider bills traffic.
    #[cfg_attr(test, schemars(rename = "Billing"))]
    RawBilling {
        /// flat, p95 (by the 95th percentile of 5-minute samples of a month) or volume.
        #[cfg_attr(test, schemars(required))]
        model: Model,
        /// The price of a GB (10^9 octets). Of model volume.
        price_per_gb: Amount,
        /// The price of a Mbit/s in a month. Of model p95.
        price_per_mbit_s_month: Amount,
        /// The currency, such as "EUR".
        currency: Name,
    }

    /// When links are worked on: once from one time to another, or again and again.
    #[cfg_attr(test, schemars(rename = "Maintenance"))]
    RawMaintenance {
        /// From then on, with its offset: 2026-12-05T22:00:00+08:00; or without, and with zone.
        from: At,
        /// Until then, likewise.
        to: At,
        /// When it begins, as cron has it, in the place of from and to: "0 3 * * sun".
        cron: When,
        /// How long it takes then: up to 168 h.
        duration: Takes,
        /// The time zone of cron, and of times without an offset.
        zone: Zone,
        /// Why.
        #[cfg_attr(test, schemars(required))]
        reason: Name,
        /// The ticket.
        ticket: Name,
        /// The links, by their names; all of the plan if not given.
        links: ListOf<LinkName>,
    }

    /// What the provider asks for on the telephone.
    #[cfg_attr(test, schemars(rename = "ProviderTable"))]
    RawProviderTable {
        /// Who it is.
        name: Name,
        /// Its circuit ID.
        circuit: Name,
        /// The ID of its acceptance test or test order.
        test_id: Name,
        /// Its network operations centre: a telephone number or an address.
        noc: Name,
    }

    /// Until when a link is ordered.
    #[cfg_attr(test, schemars(rename = "Contract"))]
    RawContract {
        /// Its last day, such as 2027-06-30.
        end: Day,
        /// How long a new or larger link takes from its order: "90 days", "12 weeks".
        lead_time: LeadTime,
    }

    /// One direction of the line.
    #[cfg_attr(test, schemars(rename = "Direction"))]
    RawDirection {
        /// What the provider has committed to in this direction.
        #[cfg_attr(test, schemars(required))]
        rate: Rate,
        /// Its committed burst size; that of the link if not given.
        cbs_bytes: Bucket,
    }

    /// The near end.
    #[cfg_attr(test, schemars(rename = "Driver"))]
    RawDriver {
        /// File with the driver's secret key, relative to the plan; the key that `linkqual key`
        /// shows if not given.
        key: KeyPath,
        /// The address of this host that all is sent from; what its routes say if not given.
        source: Source,
        /// The device of this host that all is sent by; what its routes say if not given.
        device: Device,
    }

    /// A far end.
    #[cfg_attr(test, schemars(rename = "Site"))]
    RawSite {
        /// Where its agent listens, with the port where that is not 4872.
        #[cfg_attr(test, schemars(required))]
        agent: Address,
        /// File with the agent's public key, relative to the plan; the one that `linkqual trust`
        /// has remembered if not given.
        key: KeyPath,
        /// An address at which its host answers TCP beside the link, with its port, such as SSH
        /// over a management network: it shows whether the host is down or the link.
        management: Address,
    }

    /// What the line must do.
    #[cfg_attr(test, schemars(rename = "Require"))]
    RawRequire bounds OfBoth {
        /// How surely each one-sided bound must hold: more than 50%, less than 100%; 95% if not
        /// given.
        confidence: Sure,
        /// true: applications' TCP is clamped (MSS) to what the path carries, so that a black hole
        /// below the MTU ordered does not keep tcp_throughput from passing; false if not given.
        mss_clamped: bool,
        /// From the driver to an agent: adds to [require], or overrides it.
        forward: RawOneWay,
        /// From an agent to the driver: adds to [require], or overrides it.
        reverse: RawOneWay,
    }

    /// What one direction must do.
    #[cfg_attr(test, schemars(rename = "OneWay"))]
    RawOneWay bounds OfOne {}

    /// A test.
    #[cfg_attr(test, schemars(rename = "Test"))]
    RawTest {
        /// idle: probes alone; udp, tcp: probes and a load beside them.
        #[cfg_attr(test, schemars(required))]
        kind: Kind,
        /// The site that it goes to; every one if not given.
        site: SiteName,
        /// forward (driver to agent), reverse, or both at once; both if not given. Not of idle.
        direction: Course,
        /// A rate, a share of the committed rate ("80%", or "125%" for overshoot, which is shown
        /// and not judged), or "max". If not given: udp at the committed rate, tcp as fast as
        /// possible. Not of idle.
        rate: Offered,
        /// From 1 s to 10 min; what the requirements need if not given.
        duration: Length,
        /// How its packets are marked both ways, probes and load alike: a name such as "EF", or a
        /// number from 0 to 63 in quotes. Not at all if not given.
        dscp: Mark,
        /// Streams in each direction; 1 if not given. Not of idle.
        streams: Streams,
        /// Octets of UDP payload; what fills the path's MTU if not given. Of udp alone.
        size: Size,
        /// The most octets of UDP payload that a stream sends at once, a single datagram apart; if
        /// not given, one datagram up to 50 000 packets/s, and above it 8 KiB or 50 us of the rate.
        /// Never more than 250 us of the rate. Of udp alone.
        burst_max: Burst,
        /// What governs how fast TCP sends, by Linux's name; cubic if not given. Of tcp alone.
        congestion_control: Congestion,
        /// true: receivers compare what comes with what was sent, which costs speed; false if not
        /// given. Of tcp alone.
        verify: bool,
    }
}

/// Who provides a link: a name, or a table.
#[derive(Clone, Debug)]
pub(super) struct RawProvider(pub(super) RawProviderTable);

impl Read for RawProvider {
    fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
        if value.is_table() {
            return RawProviderTable::read(reader, place, value).map(Self);
        }
        let name = Given { place: place.clone(), value: Some(Name::read(reader, place, value)?) };
        Some(Self(RawProviderTable { name: Some(name), ..RawProviderTable::default() }))
    }
}

#[cfg(test)]
impl JsonSchema for RawProvider {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RawProvider".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = Name::json_schema(generator);
        let table = generator.subschema_for::<RawProviderTable>();
        json_schema!({ "oneOf": [name, table] })
    }
}

/// The most far ends of one plan.
pub(super) const SITES_MAX: u32 = 32;

/// The most links of one plan.
pub(super) const LINKS_MAX: u32 = 64;

impl RawRequire {
    /// This, with what `base` says of the keys that this does not have.
    pub(super) fn over(&self, base: &Self) -> Self {
        Self {
            bounds: self.bounds.over(&base.bounds),
            confidence: self.confidence.clone().or_else(|| base.confidence.clone()),
            mss_clamped: self.mss_clamped.clone().or_else(|| base.mss_clamped.clone()),
            forward: one_way_over(&self.forward, &base.forward),
            reverse: one_way_over(&self.reverse, &base.reverse),
        }
    }
}

fn one_way_over(own: &Maybe<RawOneWay>, base: &Maybe<RawOneWay>) -> Maybe<RawOneWay> {
    match (own, base) {
        (Some(own), Some(base)) => {
            let values = own.value.as_ref().zip(base.value.as_ref());
            let merged =
                values.map(|(own, base)| RawOneWay { bounds: own.bounds.over(&base.bounds) });
            Some(Given { place: own.place.clone(), value: merged })
        }
        (own, base) => own.clone().or_else(|| base.clone()),
    }
}

/// Tables under names, as they stand in the file.
macro_rules! named {
    ($(
        $(#[$doc:meta])* $name:ident of $table:ident, $named:ident, $most:expr, $belongs:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name(pub(super) Vec<(String, Given<$table>)>);

        impl Read for $name {
            fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
                let Some(table) = value.as_table() else {
                    reader.wrong_type(place, value, $belongs);
                    return None;
                };
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_by_key(|(name, _)| name.span().start);
                let entry = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                    let field = place.field(&quoted(name.get_ref())).name;
                    let place = reader.place(field, &name.span(), value);
                    (name.get_ref().to_string(), reader.given(place, value.get_ref()))
                };
                Some(Self(entries.into_iter().map(entry).collect()))
            }
        }

        #[cfg(test)]
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut schema = <BTreeMap<String, Given<$table>>>::json_schema(generator);
                schema.insert("propertyNames".into(), $named::json_schema(generator).to_value());
                schema.insert("minProperties".into(), 1.into());
                schema.insert("maxProperties".into(), $most.into());
                schema
            }
        }
    )*};
}

named! {
    /// The far ends, as they stand in the file.
    RawSites of RawSite, SiteName, SITES_MAX, "a table [sites.NAME] for each far end";
    /// The links, as they stand in the file.
    RawLinks of RawLink, LinkName, LINKS_MAX, "a table [links.NAME] for each link";
}

/// Tables in a list, as they stand in the file.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident of $table:ident, $belongs:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name(pub(super) Vec<Given<$table>>);

        impl Read for $name {
            fn read(reader: &mut Reader<'_>, place: &Place, value: &DeValue<'_>) -> Option<Self> {
                items(reader, place, value, $belongs).map(Self)
            }
        }

        #[cfg(test)]
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <Vec<$table>>::json_schema(generator)
            }
        }
    )*};
}

lists! {
    /// The tests, as they stand in the file.
    RawTests of RawTest, "a list of tables, each under [[test]],";
    /// When links are worked on, as it stands in the file.
    RawMaintenances of RawMaintenance, "a list of tables, each under [[maintenance]],";
    /// The blackouts, as they stand in the file.
    RawBlackouts of RawBlackout, "a list of tables, each under [[blackout]],";
    /// What ends a load, as it stands in the file.
    RawAborts of RawAbort, "a list of tables, each under [[abort_if]],";
}

/// Each item of an array, at its own place; `None` where `value` is not the array that `belongs`.
fn items<T: Read>(
    reader: &mut Reader<'_>,
    place: &Place,
    value: &DeValue<'_>,
    belongs: &str,
) -> Option<Vec<Given<T>>> {
    let Some(array) = value.as_array() else {
        reader.wrong_type(place, value, belongs);
        return None;
    };
    let item = |(i, value): (usize, &Spanned<DeValue<'_>>)| {
        let place = reader.place(format!("{}[{i}]", place.name), &value.span(), value);
        reader.given(place, value.get_ref())
    };
    Some(array.iter().enumerate().map(item).collect())
}

/// The keys of all tables.
#[cfg(test)]
pub(super) fn all_keys() -> Vec<&'static str> {
    let keys = [
        RawPlan::keys(),
        RawLink::keys(),
        RawDirection::keys(),
        RawProviderTable::keys(),
        RawContract::keys(),
        RawDriver::keys(),
        RawSite::keys(),
        RawRequire::keys(),
        RawTest::keys(),
        RawMaintenance::keys(),
        RawWatch::keys(),
        RawSchedule::keys(),
        RawAbort::keys(),
        RawBilling::keys(),
    ];
    // These are shown as tables.
    let is_table = |key: &&str| {
        ["link", "links", "driver", "sites", "require", "test", "maintenance", "watch"]
            .contains(key)
    };
    keys.concat().into_iter().filter(|key| !is_table(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::generate::SchemaSettings;
    use schemars::transform::transform_subschemas;

    /// TOML has no null: a key that is not there is left out.
    fn without_null(schema: &mut Schema) {
        if let Some(types) = schema.get_mut("type").and_then(|types| types.as_array_mut()) {
            types.retain(|one| one != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                schema.insert("type".into(), one);
            }
        }
        if let Some(any) = schema.remove("anyOf") {
            let some = any.as_array().into_iter().flatten().find(|one| one["type"] != "null");
            for (key, value) in some.and_then(|some| some.as_object()).into_iter().flatten() {
                schema.insert(key.clone(), value.clone());
            }
        }
        transform_subschemas(&mut without_null, schema);
    }

    /// The schema in the repository is that of the types. To accept a change of the interface:
    /// `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_schema_of_the_plan_in_the_repository_is_that_of_the_types() {
        let settings = SchemaSettings::draft2020_12();
        let mut schema = settings.into_generator().into_root_schema_for::<RawPlan>();
        without_null(&mut schema);
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        assert!(!text.contains("null"), "TOML has no null");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/plan.schema.json");
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(path, &text).expect("the schema is writable");
        }
        let kept = std::fs::read_to_string(path).expect("the schema is there");
        assert_eq!(kept, text, "plan.schema.json is not that of the types");
    }

    #[test]
    fn a_line_is_found_by_its_octets() {
        let reader = Reader::new("a\nbc\n");
        assert_eq!([0, 1, 2, 4, 5, 9].map(|at| reader.line(at)), [1, 1, 2, 2, 3, 3]);
    }
}
