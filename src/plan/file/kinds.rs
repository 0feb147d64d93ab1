//! What can stand behind a key: texts and whole numbers, each with its form, its schema and an
//! example.

use super::moment::Moment;
use crate::account::is_device;
use crate::direction::Directions;
use crate::framing::Layer;
#[cfg(test)]
use crate::metric::Kind as BoundKind;
use crate::plan::{Host, LinkRole, MEMBERS_MAX, Offer, Rule, Severity, Window, Witness, one_hosts};
use crate::policy::is_circuit;
use crate::trial::{
    CongestionControl, DURATION_MAX, DURATION_MIN, Dscp, PAYLOAD_MAX, PAYLOAD_MIN, STREAMS_MAX,
};
use crate::units::{BitRate, BurstSize, Malformed, Ratio, Share, Span};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
#[cfg(test)]
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A text.
pub(super) trait Text: Sized {
    /// One that is right.
    const EXAMPLE: &'static str;

    /// Reads it; or says what it is not.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A whole number.
pub(super) trait Whole: Sized {
    /// The least and the greatest that are right.
    const BOUNDS: (u32, u32);

    /// `value`, which is within [`Self::BOUNDS`].
    fn of(value: u32) -> Self;
}

/// A kind of text: what it is read to, an example, and a pattern for editors.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident($inner:ty), $example:expr, $pattern:expr, $parse:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl Text for $name {
            const EXAMPLE: &'static str = $example;

            fn parse(text: &str) -> Result<Self, String> {
                $parse(text).map(Self)
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

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    )*};
}

/// A kind of whole number.
macro_rules! whole {
    ($($(#[$doc:meta])* $name:ident($inner:ty), $least:expr, $most:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl Whole for $name {
            const BOUNDS: (u32, u32) = ($least, $most);

            fn of(value: u32) -> Self {
                Self(<$inner>::try_from(value).expect("the bounds are within the type's"))
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

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let (least, most) = Self::BOUNDS;
                json_schema!({ "type": "integer", "minimum": least, "maximum": most })
            }
        }
    )*};
}

text! {
    /// What people or a provider call something.
    Name(String), "EC-2031", r"^\P{Cc}{1,128}$", name;
    /// A file, relative to the plan.
    KeyPath(PathBuf), "driver.key", "^.+$", path;
    /// An address of this host.
    Source(IpAddr), "10.0.0.2", "^[0-9A-Fa-f.:]+$", source;
    /// A device of this host.
    Device(String), "eth1", r"^[!-.0-~]{1,15}$", device;
    /// Where an agent listens.
    Address(Host), "172.16.0.2:4872", r"^[0-9A-Za-z._:%\[\]-]+$", str::parse;
    /// A rate at the link's layer.
    Rate(BitRate), "500 Mbit/s",
        r"^[0-9]+(\.[0-9]+)? ?([KkMGg](bit/s|bit|bps|b/s)?|m?(bit/s|bit|bps|b/s))$", rate;
    /// What a rate counts.
    Counts(Layer), "L2", "^L[1-4]$", form;
    /// What a test offers.
    Offered(Offer), "500 Mbit/s",
        concat!(
            r"^([0-9]+(\.[0-9]+)? ?([KkMGg](bit/s|bit|bps|b/s)?|m?(bit/s|bit|bps|b/s))",
            r"|[0-9]+(\.[0-9]+)? ?%|max)$"
        ), offer;
    /// What a test puts on the line.
    Kind(KindOfTest), "udp", "^(idle|udp|tcp)$", kind;
    /// Which ways.
    Course(Directions), "both", "^(forward|reverse|both)$", form;
    /// How long.
    Length(Span), "30 s", TIME, length;
    /// How long before the first load.
    IdleLength(Span), "10 s", TIME, idle_length;
    /// What governs how fast TCP sends.
    Congestion(CongestionControl), "cubic", "^[0-9A-Za-z_-]{1,15}$", form;
    /// How packets are marked.
    Mark(Dscp), "EF",
        "^(EF|LE|VOICE-ADMIT|CS[0-7]|AF[1-4][1-3]|[0-9]|[1-5][0-9]|6[0-3])$", form;
    /// How sure.
    Sure(Ratio), "95%", r"^[0-9]+(\.[0-9]+)? ?%$", confidence;
    /// A site's name.
    SiteName(String), "vpc", r"^[^\s\p{Cc}]{1,63}$", any;
    /// A link's name.
    LinkName(String), "ec-2031", r"^[^\s\p{Cc}]{1,63}$", any;
    /// What a link is for.
    Role(LinkRole), "backup", "^(primary|backup|member)$", role;
    /// A day.
    Day(String), "2027-06-30", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", day;
    /// When a plan is run, as cron has it.
    When(Rule), "30 2 * * *", r"^\S+( +\S+){4}$", str::parse;
    /// A time zone by its name in the IANA database.
    Zone(TimeZone), "Asia/Shanghai", "^[0-9A-Za-z_+/-]+$", zone;
    /// By how much a start may be put off.
    PutOff(Span), "10 min", TIME, put_off;
    /// When a link may be loaded.
    Opens(Window), "mon-fri 01:00-05:00",
        "^([A-Za-z, -]+ )?[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$", str::parse;
    /// How bad it is when a link fails.
    Grave(Severity), "critical", "^(critical|warning|info)$", severity;
    /// From when, or until when, a link is worked on.
    At(Moment), "2026-12-05T22:00:00+08:00",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}", str::parse;
    /// How long a link is worked on.
    Takes(Span), "4 h", TIME, takes;
    /// When a blackout begins or ends.
    DayOrTime(MomentOf), "2026-12-24 18:00",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.]+ ?(Z|[+-][0-9:]+)?)?$", moment;
    /// A share of a committed rate that is no overshoot.
    Portion(Share), "50%", r"^[0-9]+(\.[0-9]+)? ?%$", portion;
    /// By how much a delay may rise.
    Rise(Span), "20 ms", TIME, rise;
    /// A part of a whole.
    Fraction(Ratio), "2%", r"^[0-9]+(\.[0-9]+)? ?%$", fraction;
    /// A host whose answers are looked at.
    Witnessed(Witness), "10.2.0.9", r"^[0-9A-Fa-f.:\[\]]+$", witness;
    /// How traffic is billed, by name.
    Model(BillingModel), "p95", "^(flat|p95|volume)$", model;
    /// How long a new link takes, in days.
    LeadTime(u32), "90 days", "^[0-9]+ (days?|weeks?)$", lead_time;
}

#[cfg(test)]
const TIME: &str = r"^[0-9]+(\.[0-9]+)? ?(ns|us|ms|s|min|h)$";

/// The pattern of a bound of this kind, for editors.
#[cfg(test)]
pub(super) const fn pattern(kind: BoundKind) -> &'static str {
    match kind {
        BoundKind::LeastRate => {
            r"^>= ?[0-9]+(\.[0-9]+)? ?([KkMGg](bit/s|bit|bps|b/s)?|m?(bit/s|bit|bps|b/s))$"
        }
        BoundKind::MostShare => r"^<= ?[0-9]+(\.[0-9]+)? ?%$",
        BoundKind::MostTime => r"^<= ?[0-9]+(\.[0-9]+)? ?(ns|us|ms|s|min|h)$",
        BoundKind::LeastOctets => "^>= ?[0-9]+$",
    }
}

/// A date, or a date and a time of day, which may have an offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MomentOf {
    /// A moment wherever one is.
    Fixed(Timestamp),
    /// A time of some zone.
    Local(DateTime),
    /// A day of some zone.
    Day(Date),
}

/// How traffic is billed, by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BillingModel {
    /// The same whatever is sent.
    Flat,
    /// By the 95th percentile of a month.
    P95,
    /// By volume.
    Volume,
}

/// A price, in millionths of a currency's unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) u64);

impl Amount {
    /// The highest price.
    pub(super) const MAX: f64 = 1e9;

    /// `price`, unless it is none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10^15")]
    pub(super) fn of(price: f64) -> Option<Self> {
        (0.0..=Self::MAX).contains(&price).then(|| Self((price * 1e6).round() as u64))
    }
}

#[cfg(test)]
impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let most = 1_000_000_000;
        json_schema!({ "type": "number", "minimum": 0, "maximum": most, "examples": [0.08] })
    }
}

whole! {
    /// 802.1Q tags.
    Tags(u8), 0, 2;
    /// Octets of a packet that its headers do not explain.
    Overhead(u16), 0, 1_000;
    /// Streams in each direction.
    Streams(u32), 1, STREAMS_MAX;
    /// Octets of UDP payload.
    Size(u32), PAYLOAD_MIN, PAYLOAD_MAX;
    /// Octets of UDP payload at once.
    Burst(u32), 1, PAYLOAD_MAX;
    /// Octets that a policer's bucket holds.
    Bucket(u32), 1, BurstSize::MAX_OCTETS;
    /// Physical links of a bundle.
    Members(u32), 2, MEMBERS_MAX;
    /// Probes per second.
    Probes(u32), 1, 100;
}

/// What a test puts on the line, by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KindOfTest {
    /// Probes alone.
    Idle,
    /// UDP beside them.
    Udp,
    /// TCP beside them.
    Tcp,
}

impl KindOfTest {
    /// Its name in plans.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The keys that it has beside kind, site and duration.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Idle => &[],
            Self::Udp => &["direction", "rate", "streams", "size", "burst_max"],
            Self::Tcp => &["direction", "rate", "streams", "congestion_control", "verify"],
        }
    }
}

/// By the text form that the type itself has.
fn form<T: FromStr<Err = Malformed>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Malformed| error.form())
}

/// Read where it is known what it is for.
#[expect(clippy::unnecessary_wraps, reason = "one of the readers of texts")]
fn any(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let why = || "not a name: 1 to 128 printable characters".to_owned();
    is_circuit(text).then(|| text.to_owned()).ok_or_else(why)
}

fn path(text: &str) -> Result<PathBuf, String> {
    let is_path = !text.is_empty() && !text.contains('\0');
    is_path.then(|| text.into()).ok_or_else(|| "not the name of a file".to_owned())
}

fn source(text: &str) -> Result<IpAddr, String> {
    let why = |_| "not an IP address of this host, such as \"10.0.0.2\"".to_owned();
    let address: IpAddr = text.parse().map_err(why)?;
    one_hosts(address).map(|()| address)
}

fn device(text: &str) -> Result<String, String> {
    let why = || "not the name of a device: 1 to 15 characters, such as \"eth1\"".to_owned();
    is_device(text).then(|| text.to_owned()).ok_or_else(why)
}

fn rate(text: &str) -> Result<BitRate, String> {
    let rate: BitRate = form(text)?;
    if BitRate::MAX < rate {
        return Err(format!("at most {} is allowed", BitRate::MAX));
    }
    Ok(rate)
}

fn offer(text: &str) -> Result<Offer, String> {
    if text == "max" {
        return Ok(Offer::Max);
    }
    if let Ok(share) = text.parse::<Share>() {
        return Ok(Offer::Committed(share));
    }
    if text.parse() == Ok(Ratio::default()) {
        return Err("no load at all: give a share above 0%, or take the test out".to_owned());
    }
    if let Some(corrected) = text.parse::<BitRate>().err().filter(Malformed::is_corrected) {
        return Err(corrected.form());
    }
    match rate(text) {
        Ok(rate) => Ok(Offer::Rate(rate)),
        Err(_) if text.parse::<BitRate>().is_ok() => {
            Err(format!("at most {} is allowed", BitRate::MAX))
        }
        Err(_) => Err("not a load: a rate such as \"500 Mbit/s\", a share of the committed rate \
                       such as \"80%\", or \"125%\" for overshoot (1000% at most), or \"max\""
            .to_owned()),
    }
}

fn kind(text: &str) -> Result<KindOfTest, String> {
    let kinds = [KindOfTest::Idle, KindOfTest::Udp, KindOfTest::Tcp];
    kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        let meant = super::fault::nearest(text, kinds.map(KindOfTest::name));
        let meant = meant.map(|meant| format!(" Did you mean '{meant}'?")).unwrap_or_default();
        format!("not a kind of test: idle, udp or tcp.{meant}")
    })
}

fn role(text: &str) -> Result<LinkRole, String> {
    LinkRole::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
        let meant = super::fault::nearest(text, LinkRole::ALL.map(LinkRole::name));
        let meant = meant.map(|meant| format!(" Did you mean '{meant}'?")).unwrap_or_default();
        format!("not a role: primary, backup or member.{meant}")
    })
}

fn day(text: &str) -> Result<String, String> {
    let is_day = text.len() == 10 && text.parse::<Date>().is_ok();
    let why = || "not a day: year, month and day, such as 2027-06-30".to_owned();
    is_day.then(|| text.to_owned()).ok_or_else(why)
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| {
        "not a time zone: a name of the IANA database, such as \"Asia/Shanghai\", or \"UTC\""
            .to_owned()
    })
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::named(text).ok_or_else(|| "not a severity: critical, warning or info".to_owned())
}

/// How long a link is worked on at once.
const WORKS_MIN: Span = Span::from_secs(60);
const WORKS_MAX: Span = Span::from_secs(168 * 3_600);

fn takes(text: &str) -> Result<Span, String> {
    let takes: Span = form(text)?;
    if takes < WORKS_MIN || WORKS_MAX < takes {
        return Err("from 1 min to 168 h are allowed".to_owned());
    }
    Ok(takes)
}

/// The longest that a start may be put off.
const PUT_OFF_MAX: Span = Span::from_secs(6 * 3_600);

fn put_off(text: &str) -> Result<Span, String> {
    let put_off: Span = form(text)?;
    if PUT_OFF_MAX < put_off {
        return Err(format!("at most {PUT_OFF_MAX} is allowed"));
    }
    Ok(put_off)
}

fn moment(text: &str) -> Result<MomentOf, String> {
    let day = (text.len() == 10).then(|| text.parse().ok()).flatten().map(MomentOf::Day);
    let fixed = || text.parse().ok().map(MomentOf::Fixed);
    let local = || text.parse().ok().map(MomentOf::Local);
    day.or_else(fixed).or_else(local).ok_or_else(|| {
        "not a time: a day, such as \"2026-12-24\", with a time of day, \"2026-12-24 18:00\", or \
         with an offset too, \"2026-12-24 18:00+08:00\""
            .to_owned()
    })
}

fn portion(text: &str) -> Result<Share, String> {
    let share: Share = form(text)?;
    if Share::WHOLE < share {
        return Err("at most 100% is allowed: a link in service is not loaded beyond its \
                    committed rate"
            .to_owned());
    }
    Ok(share)
}

/// The largest rise of a delay that a load may cause.
const RISE_MAX: Span = Span::from_secs(10);

fn rise(text: &str) -> Result<Span, String> {
    let rise: Span = form(text)?;
    if rise == Span::default() || RISE_MAX < rise {
        return Err(format!("more than 0 ms and at most {RISE_MAX} is allowed"));
    }
    Ok(rise)
}

fn fraction(text: &str) -> Result<Ratio, String> {
    let fraction: Ratio = form(text)?;
    if fraction == Ratio::default() {
        return Err("0% would end each load: give more, such as \"2%\"".to_owned());
    }
    Ok(fraction)
}

fn witness(text: &str) -> Result<Witness, String> {
    let why = || {
        "not an IP address, such as \"10.2.0.9\", which is pinged, or \"10.2.0.9:862\", whose \
         STAMP reflector is asked"
            .to_owned()
    };
    let witness = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => Witness { address, port: None },
        (_, Ok(at)) if 0 < at.port() => Witness { address: at.ip(), port: Some(at.port()) },
        _ => return Err(why()),
    };
    one_hosts(witness.address).map(|()| witness)
}

fn model(text: &str) -> Result<BillingModel, String> {
    match text {
        "flat" => Ok(BillingModel::Flat),
        "p95" => Ok(BillingModel::P95),
        "volume" => Ok(BillingModel::Volume),
        _ => {
            Err("not a way to bill: flat (the same whatever is sent), p95 (by the 95th percentile \
                  of a month) or volume"
                .to_owned())
        }
    }
}

/// The longest time from an order to a delivery.
const LEAD_TIME_DAYS_MAX: u32 = 3_650;

fn lead_time(text: &str) -> Result<u32, String> {
    let days = text.split_once(' ').and_then(|(number, unit)| {
        let days: u32 = match unit {
            "day" | "days" => 1,
            "week" | "weeks" => 7,
            _ => return None,
        };
        number.parse::<u32>().ok()?.checked_mul(days)
    });
    let days = days.filter(|days| (1..=LEAD_TIME_DAYS_MAX).contains(days));
    days.ok_or_else(|| {
        format!(
            "not a time from an order to a delivery: 1 to {LEAD_TIME_DAYS_MAX} days, such as \
             \"90 days\" or \"12 weeks\""
        )
    })
}

fn length(text: &str) -> Result<Span, String> {
    trial_length(text, "a test")
}

fn idle_length(text: &str) -> Result<Span, String> {
    trial_length(text, "the idle trial before the first load")
}

fn trial_length(text: &str, which: &str) -> Result<Span, String> {
    let span = text.parse::<Span>().map_err(|error| match error.is_corrected() {
        true => error.form(),
        false => "not a length of time: a number with s or min behind it, such as \"30 s\"".into(),
    })?;
    if span < DURATION_MIN || DURATION_MAX < span {
        let (least, most) = (DURATION_MIN, DURATION_MAX);
        return Err(format!("{which} takes from {least} to {most} (10 min)"));
    }
    Ok(span)
}

fn confidence(text: &str) -> Result<Ratio, String> {
    let ratio = text
        .parse::<Ratio>()
        .map_err(|_| "not a share: a number with % behind it, such as \"95%\"".to_owned())?;
    let (half, whole) = (Ratio::from_ppm(500_000), Ratio::from_ppm(1_000_000));
    if Some(ratio) <= half || whole <= Some(ratio) {
        return Err("more than 50% and less than 100% is allowed, such as \"95%\"".into());
    }
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Text>(text: &str, part: Option<&str>) {
        match (T::parse(text), part) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) => assert!(why.contains(part), "{text:?}: {why}"),
            (Ok(_), Some(_)) => panic!("{text:?} was taken"),
            (Err(why), None) => panic!("{text:?}: {why}"),
        }
    }

    #[test]
    fn a_text_is_taken_up_to_its_bounds() {
        check::<Sure>("50%", Some("more than 50%"));
        check::<Sure>("50.000001%", None);
        check::<Sure>("99.999999%", None);
        check::<Sure>("100%", Some("less than 100%"));
        check::<Length>("1s", None);
        check::<Length>("999 ms", Some("from 1 s to 600 s"));
        check::<Length>("10 min", None);
        check::<Length>("601s", Some("from 1 s to 600 s"));
        check::<IdleLength>("1 s", None);
        check::<IdleLength>("999 ms", Some("the idle trial before the first load takes from 1 s"));
        check::<IdleLength>("10 min", None);
        check::<IdleLength>("601 s", Some("to 600 s (10 min)"));
        check::<IdleLength>("0 s", Some("from 1 s to 600 s"));
        check::<IdleLength>("soon", Some("not a length of time"));
        check::<Rate>("1000 Gbit/s", None);
        check::<Rate>("1001 Gbit/s", Some("at most 1000 Gbit/s"));
        check::<Name>(&"é".repeat(128), None);
        check::<Name>(&"é".repeat(129), Some("1 to 128"));
        check::<Name>("a\nb", Some("printable"));
        check::<KeyPath>("", Some("not the name of a file"));
    }

    #[test]
    fn what_is_known_of_a_link_has_its_form() {
        check::<Role>("backup", None);
        check::<Role>("bakup", Some("primary, backup or member. Did you mean 'backup'?"));
        check::<Day>("2028-02-29", None);
        check::<Day>("2027-02-29", Some("not a day"));
        check::<Day>("2027-06-30T12:00:00", Some("such as 2027-06-30"));
        for (text, days) in [("90 days", 90), ("1 day", 1), ("12 weeks", 84)] {
            assert_eq!(LeadTime::parse(text).map(|time| time.0), Ok(days));
        }
        for text in ["0 days", "3651 days", "3 months", "90", "99999999999 weeks"] {
            check::<LeadTime>(text, Some("such as \"90 days\""));
        }
    }

    #[test]
    fn a_load_is_a_rate_a_share_or_max() {
        check::<Offered>("500Mbit/s", None);
        check::<Offered>("0.5%", None);
        check::<Offered>("100%", None);
        check::<Offered>("max", None);
        check::<Offered>("125 %", None);
        check::<Offered>("1000%", None);
        check::<Offered>("1000.1%", Some("1000% at most"));
        check::<Offered>("0%", Some("no load at all"));
        check::<Offered>("0 Mbit/s", Some("not a load"));
        check::<Offered>("500M", None);
        check::<Offered>("fast", Some("such as \"500 Mbit/s\""));
        check::<Offered>("50MB/s", Some("Write \"400 Mbit/s\" if bytes were meant"));
        check::<Offered>("2000 Gbit/s", Some("at most 1000 Gbit/s"));
    }

    #[test]
    fn an_address_is_that_of_one_host() {
        check::<Address>("172.16.0.2:4872", None);
        check::<Address>("0.0.0.0:4872", Some("any of a host's own: give the address of one host"));
        check::<Address>("10.9.2.300", Some("not four numbers from 0 to 255"));
        check::<Source>("10.0.0.2", None);
        check::<Source>("::", Some("any of a host's own"));
        check::<Source>("224.0.0.1", Some("a multicast address"));
        check::<Source>("eth0", Some("not an IP address of this host"));
    }

    #[test]
    fn a_kind_that_is_none_is_shown_the_nearest() {
        check::<Kind>("udp", None);
        check::<Kind>("upd", Some("Did you mean 'udp'?"));
        check::<Kind>("flood", Some("idle, udp or tcp."));
    }
}
