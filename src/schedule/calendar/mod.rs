//! Calendars (iCalendar, RFC 5545) whose events are blackouts: text in, times out.
//!
//! A blackout that is overlooked loads a production line, so whatever is not understood is an error
//! that names its line, and what is doubtful is a blackout: an instance of a series that was moved
//! darkens both its old time and its new one, and only an event that is cancelled as a whole is
//! none.

mod fault;
mod lines;
mod recurrence;

pub use fault::Fault;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _};
use lines::{Line, lines};
use recurrence::Recurrence;

/// The most octets of a calendar.
pub const OCTETS_MAX: u64 = 4 << 20;

/// The most events of a calendar.
const EVENTS_MAX: usize = 10_000;

/// The most times that events are taken to repeat within what is asked for.
const TIMES_MAX: usize = 100_000;

/// A time that an event takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Busy {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// What the event is called.
    pub summary: String,
}

/// The times of the events in `text` that overlap `from` to `until`. Days, and times without a
/// zone, are of `zone`, where there is one.
///
/// # Errors
///
/// The first thing that is wrong or not understood.
pub fn times(
    text: &str,
    zone: Option<&TimeZone>,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<Busy>, Fault> {
    let mut busy = Vec::new();
    for event in events(text)? {
        event.times(zone, (from, until), &mut busy)?;
        if TIMES_MAX < busy.len() {
            let what = format!("the events take place more than {TIMES_MAX} times by {until}");
            return Err(Fault::new(event.line, what));
        }
    }
    Ok(busy)
}

/// An event as it stands in the file.
#[derive(Debug, Default)]
struct Event {
    line: usize,
    summary: Option<String>,
    start: Option<(usize, When)>,
    end: Option<(usize, When)>,
    duration: Option<(usize, Span)>,
    rule: Option<(usize, String)>,
    except: Vec<(usize, When)>,
    is_cancelled: bool,
}

/// A day, or a time of day.
#[derive(Clone, Debug)]
enum When {
    Day(Date),
    Local(DateTime, Option<TimeZone>),
}

/// All events, whole.
fn events(text: &str) -> Result<Vec<Event>, Fault> {
    let (mut events, mut stack, mut event) = (Vec::new(), Vec::new(), None::<Event>);
    let (mut last, mut is_calendar) = (1, false);
    for line in lines(text) {
        let line = match line {
            Err(_) if !is_calendar => break,
            line => line?,
        };
        last = line.number;
        match line.name.as_str() {
            "BEGIN" => {
                let component = line.value.to_ascii_uppercase();
                is_calendar |= component == "VCALENDAR";
                if !is_calendar {
                    break;
                }
                if component == "VFREEBUSY" || component == "VEVENT" && event.is_some() {
                    let what = match component.as_str() {
                        "VEVENT" => "an event begins within another one",
                        _ => "busy times (VFREEBUSY) are not read: export the calendar's events",
                    };
                    return Err(Fault::new(line.number, what.to_owned()));
                }
                if component == "VEVENT" {
                    event = Some(Event { line: line.number, ..Event::default() });
                }
                stack.push(component);
            }
            "END" => {
                if stack.pop() != Some(line.value.to_ascii_uppercase()) {
                    let what = format!("END:{} ends nothing that has begun", line.value);
                    return Err(Fault::new(line.number, what));
                }
                if line.value.eq_ignore_ascii_case("VEVENT") {
                    events.extend(event.take());
                }
            }
            // Alarms stand within events, and rules of their own in time zones.
            _ if stack.last().is_some_and(|within| within == "VEVENT") => {
                event.as_mut().map_or(Ok(()), |event| event.take(&line))?;
            }
            _ => {}
        }
        if EVENTS_MAX < events.len() {
            return Err(Fault::new(line.number, format!("more than {EVENTS_MAX} events")));
        }
    }
    match (is_calendar, stack.is_empty()) {
        (false, _) => Err(Fault::new(1, "not a calendar: it does not begin with BEGIN:VCALENDAR")),
        (true, false) => Err(Fault::new(last, "the file ends in the middle of the calendar")),
        (true, true) => Ok(events),
    }
}

impl Event {
    /// Takes a property in.
    fn take(&mut self, line: &Line) -> Result<(), Fault> {
        let at = line.number;
        match line.name.as_str() {
            "SUMMARY" => self.summary = Some(line.text()),
            "DTSTART" => self.start = Some((at, when(line, &line.value)?)),
            "DTEND" => self.end = Some((at, when(line, &line.value)?)),
            "DURATION" => self.duration = Some((at, duration(line)?)),
            "RRULE" if self.rule.is_some() => {
                return Err(Fault::new(at, "a second RRULE: only one is understood"));
            }
            "RRULE" => self.rule = Some((at, line.value.clone())),
            "EXDATE" => {
                for value in line.value.split(',') {
                    self.except.push((at, when(line, value)?));
                }
            }
            "RDATE" | "EXRULE" => {
                let what = format!("{} is not understood: list these times as events", line.name);
                return Err(Fault::new(at, what));
            }
            "STATUS" => self.is_cancelled = line.value.eq_ignore_ascii_case("CANCELLED"),
            _ => {}
        }
        Ok(())
    }

    /// Adds the times of it that overlap `within`.
    fn times(
        &self,
        zone: Option<&TimeZone>,
        within: (Timestamp, Timestamp),
        busy: &mut Vec<Busy>,
    ) -> Result<(), Fault> {
        if self.is_cancelled {
            return Ok(());
        }
        let Some((line, start)) = &self.start else {
            return Err(Fault::new(self.line, "an event without DTSTART"));
        };
        let (local, zone) = resolved(*line, start, zone)?;
        let lasts = self.lasts(start, local, &zone)?;
        let mut except = Vec::new();
        for (line, when) in &self.except {
            let (at, of) = resolved(*line, when, Some(&zone))?;
            except.push(moment(*line, at, &of, Edge::Start)?);
        }
        let recurrence = match &self.rule {
            Some((line, text)) => Recurrence::parse(text, local, &zone)
                .map_err(|what| Fault::new(*line, format!("RRULE:{text}: {what}")))?,
            None => Recurrence::once(local),
        };
        let summary = self.summary.clone().filter(|text| !text.is_empty());
        let summary = summary.unwrap_or_else(|| "an event of the calendar".to_owned());
        for local in recurrence.times() {
            let from = moment(*line, local, &zone, Edge::Start)?;
            if within.1 <= from || recurrence.is_over(from) {
                break;
            }
            let to = lasts.end(*line, local, from, &zone)?;
            if within.0 < to && !except.contains(&from) {
                busy.push(Busy { from, to, summary: summary.clone() });
            }
            if TIMES_MAX < busy.len() {
                break;
            }
        }
        Ok(())
    }

    /// How long each of its times lasts, where the first starts at `local` in `zone`.
    fn lasts(&self, start: &When, local: DateTime, zone: &TimeZone) -> Result<Lasts, Fault> {
        let is_day = matches!(start, When::Day(_));
        let lasts = match (&self.end, &self.duration) {
            (Some((line, end)), _) => {
                let (end, of) = resolved(*line, end, Some(zone))?;
                match is_day {
                    true => {
                        Lasts::Days(local.date().until(end.date()).map_or(1, |it| it.get_days()))
                    }
                    false => {
                        let from = moment(*line, local, zone, Edge::Start)?;
                        let to = moment(*line, end, &of, Edge::End)?;
                        Lasts::Exactly(to.duration_since(from))
                    }
                }
            }
            (None, Some((_, span))) => Lasts::Span(*span),
            (None, None) if is_day => Lasts::Days(1),
            // RFC 5545, section 3.6.1: it ends when it starts. Who enters such a thing as a
            // blackout means more than nothing.
            (None, None) => {
                return Err(Fault::new(self.line, "an event without DTEND or DURATION"));
            }
        };
        match lasts {
            Lasts::Exactly(time) if time <= SignedDuration::ZERO => {
                Err(Fault::new(self.line, "an event that ends before it starts"))
            }
            Lasts::Days(days) if days < 1 => {
                Err(Fault::new(self.line, "an event that ends before it starts"))
            }
            lasts => Ok(lasts),
        }
    }
}

/// How long something lasts.
#[derive(Clone, Copy, Debug)]
enum Lasts {
    Days(i32),
    Exactly(SignedDuration),
    Span(Span),
}

impl Lasts {
    /// The end of what starts at `local` in `zone`, which is `from`.
    fn end(
        self,
        line: usize,
        local: DateTime,
        from: Timestamp,
        zone: &TimeZone,
    ) -> Result<Timestamp, Fault> {
        let beyond = |_| Fault::new(line, "it lasts beyond the year 9999");
        match self {
            Self::Exactly(time) => from.checked_add(time).map_err(beyond),
            Self::Days(days) => {
                let end = local.checked_add(days.days()).map_err(beyond)?;
                moment(line, end, zone, Edge::End)
            }
            Self::Span(span) => {
                let end = local.checked_add(span).map_err(beyond)?;
                moment(line, end, zone, Edge::End)
            }
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Edge {
    Start,
    End,
}

/// `local` in `zone`. Where the clock shows a time twice, or skips it, what lasts is the longer.
fn moment(line: usize, local: DateTime, zone: &TimeZone, edge: Edge) -> Result<Timestamp, Fault> {
    let at = zone.to_ambiguous_zoned(local);
    let at = if edge == Edge::Start { at.earlier() } else { at.later() };
    at.map(|at| at.timestamp()).map_err(|why| Fault::new(line, why.to_string()))
}

/// The time and zone of `when`, which has those of `usual` where it has none of its own.
fn resolved(
    line: usize,
    when: &When,
    usual: Option<&TimeZone>,
) -> Result<(DateTime, TimeZone), Fault> {
    let (local, own) = match when {
        When::Day(day) => ((*day).into(), None),
        When::Local(local, zone) => (*local, zone.as_ref()),
    };
    let zone = own.or(usual).cloned().ok_or_else(|| {
        Fault::new(line, "of which time zone? Give the calendar's [[blackout]] a zone")
    })?;
    Ok((local, zone))
}

/// What stands in `value`, a day or a time of the zone that the line names.
fn when(line: &Line, value: &str) -> Result<When, Fault> {
    let value = value.trim();
    let wrong = || {
        let what = format!("{}: '{value}' is neither a day nor a time", line.name);
        Fault::new(line.number, what)
    };
    let (day, time) = match value.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (value, None),
    };
    let is_digits =
        |text: &str, count| text.len() == count && text.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(day, 8) {
        return Err(wrong());
    }
    let date = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
    let date: Date = date.parse().map_err(|_| wrong())?;
    let Some(time) = time else { return Ok(When::Day(date)) };
    let (time, is_utc) = match time.strip_suffix('Z') {
        Some(time) => (time, true),
        None => (time, false),
    };
    if !is_digits(time, 6) {
        return Err(wrong());
    }
    let number = |range: std::ops::Range<usize>| time[range].parse::<i8>().unwrap_or(-1);
    // A leap second is the last one of its minute.
    let (hour, minute, second) = (number(0..2), number(2..4), number(4..6).min(59));
    let time = jiff::civil::Time::new(hour, minute, second, 0).map_err(|_| wrong())?;
    let zone = match (is_utc, line.parameter("TZID")) {
        (true, _) => Some(TimeZone::UTC),
        (false, Some(name)) => Some(zone_called(line.number, name)?),
        (false, None) => None,
    };
    Ok(When::Local(DateTime::from_parts(date, time), zone))
}

/// The zone of that name: of the IANA database, also behind a prefix, as some programs write it, or
/// one of Windows.
fn zone_called(line: usize, name: &str) -> Result<TimeZone, Fault> {
    let mut part = name.trim().trim_start_matches('/');
    loop {
        if let Ok(zone) = TimeZone::get(part) {
            return Ok(zone);
        }
        let Some((_, rest)) = part.split_once('/') else { break };
        part = rest;
    }
    let windows = WINDOWS_ZONES.iter().find(|(windows, _)| *windows == name.trim());
    let zone = windows.and_then(|(_, iana)| TimeZone::get(iana).ok());
    zone.ok_or_else(|| {
        let what = format!(
            "TZID={name}: not a time zone that is known here: use a name of the IANA database, \
             such as Asia/Shanghai"
        );
        Fault::new(line, what)
    })
}

/// Windows' names of some zones (Unicode CLDR, windowsZones): calendars from Outlook have them.
const WINDOWS_ZONES: &[(&str, &str)] = &[
    ("UTC", "UTC"),
    ("GMT Standard Time", "Europe/London"),
    ("W. Europe Standard Time", "Europe/Berlin"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("FLE Standard Time", "Europe/Kiev"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("India Standard Time", "Asia/Kolkata"),
    ("SE Asia Standard Time", "Asia/Bangkok"),
    ("China Standard Time", "Asia/Shanghai"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("Taipei Standard Time", "Asia/Taipei"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Eastern Standard Time", "America/New_York"),
    ("Central Standard Time", "America/Chicago"),
    ("Mountain Standard Time", "America/Denver"),
    ("Pacific Standard Time", "America/Los_Angeles"),
];

/// RFC 5545, section 3.3.6: weeks alone, or days and times of day.
fn duration(line: &Line) -> Result<Span, Fault> {
    let wrong = || {
        let what = format!("DURATION:{}: not a length of time such as PT4H or P2D", line.value);
        Fault::new(line.number, what)
    };
    let text = line.value.trim().trim_start_matches('+');
    if text.starts_with('-') {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn calendar(event: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\n"
        )
    }

    /// What `event` takes of December 2026, in Berlin where it does not say.
    fn taken(event: &str) -> Result<Vec<String>, Fault> {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let (from, until) = (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let times = times(&calendar(event), Some(&zone), from, until)?;
        Ok(times.iter().map(|it| format!("{} {} {}", it.from, it.to, it.summary)).collect())
    }

    #[track_caller]
    fn check(event: &str, expected: &[&str]) {
        assert_eq!(taken(event).expect("a calendar"), expected, "{event}");
    }

    /// Either way a blackout would be overlooked.
    #[test]
    fn events_within_events_and_busy_times_are_faults() {
        let start = "DTSTART:20261224T100000Z";
        let within = format!("{start}\r\nBEGIN:VEVENT\r\n{start}\r\nEND:VEVENT");
        let fault = taken(&within).expect_err("a fault");
        assert_eq!(fault.to_string().matches("within another").count(), 1, "{fault}");
        let busy = format!("{start}\r\nEND:VEVENT\r\nBEGIN:VFREEBUSY\r\n{start}\r\nEND:VFREEBUSY");
        let text = calendar(&busy).replace("END:VFREEBUSY\r\nEND:VEVENT", "END:VFREEBUSY");
        let utc = TimeZone::UTC;
        let (from, until) = (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let fault = times(&text, Some(&utc), from, until).expect_err("a fault");
        assert!(fault.to_string().contains("VFREEBUSY"), "{fault}");
    }

    #[test]
    fn an_event_takes_its_time() {
        check(
            "SUMMARY:Year-end\\, freeze\r\nDTSTART:20261224T100000Z\r\nDTEND:20261224T120000Z",
            &["2026-12-24T10:00:00Z 2026-12-24T12:00:00Z Year-end, freeze"],
        );
        check(
            "SUMMARY:a\r\nDTSTART;TZID=Asia/Shanghai:20261224T100000\r\nDURATION:PT4H",
            &["2026-12-24T02:00:00Z 2026-12-24T06:00:00Z a"],
        );
        check(
            "SUMMARY:a\r\nDTSTART;TZID=\"China Standard Time\":20261224T100000\r\nDURATION:P1DT1H",
            &["2026-12-24T02:00:00Z 2026-12-25T03:00:00Z a"],
        );
        check(
            "SUMMARY:days\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227",
            &["2026-12-23T23:00:00Z 2026-12-26T23:00:00Z days"],
        );
        check(
            "DTSTART;VALUE=DATE:20261224",
            &["2026-12-23T23:00:00Z 2026-12-24T23:00:00Z an event of the calendar"],
        );
        check("DTSTART:20270224T100000Z\r\nDTEND:20270224T120000Z", &[]);
        check("STATUS:CANCELLED\r\nDTSTART:20261224T100000Z\r\nDTEND:20261224T120000Z", &[]);
    }

    #[test]
    fn what_repeats_takes_each_of_its_times() {
        check(
            "SUMMARY:a\r\nDTSTART:20261101T100000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=7",
            &[
                "2026-12-06T10:00:00Z 2026-12-06T11:00:00Z a",
                "2026-12-13T10:00:00Z 2026-12-13T11:00:00Z a",
            ],
        );
        check(
            "SUMMARY:a\r\nDTSTART;TZID=Europe/Berlin:20261001T020000\r\nDURATION:PT1H\r\n\
             RRULE:FREQ=MONTHLY;BYDAY=-1FR\r\nEXDATE;TZID=Europe/Berlin:20261030T020000",
            &["2026-12-25T01:00:00Z 2026-12-25T02:00:00Z a"],
        );
        check(
            "SUMMARY:a\r\nDTSTART:20261201T100000Z\r\nDURATION:PT1H\r\n\
             RRULE:FREQ=DAILY;UNTIL=20261203T100000Z\r\nEXDATE:20261202T100000Z",
            &[
                "2026-12-01T10:00:00Z 2026-12-01T11:00:00Z a",
                "2026-12-03T10:00:00Z 2026-12-03T11:00:00Z a",
            ],
        );
    }

    /// A longer line is folded; alarms and zones have properties of their own.
    #[test]
    fn folded_lines_and_nested_components_are_read() {
        check(
            "SUMMARY:a fre\r\n eze\r\nDTSTART:20261224T100000Z\r\nDURATION:PT1H\r\nBEGIN:VALARM\r\n\
             DURATION:PT9H\r\nEND:VALARM",
            &["2026-12-24T10:00:00Z 2026-12-24T11:00:00Z a freeze"],
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let start = "DTSTART:20261224T100000Z\r\n";
        for (event, line, what) in [
            ("SUMMARY:a".to_owned(), 3, "an event without DTSTART"),
            (start.to_owned() + "SUMMARY:a", 3, "without DTEND or DURATION"),
            (start.to_owned() + "DTEND:20261224T100000Z", 3, "ends before it starts"),
            ("DTSTART;TZID=Mars/Base:20261224T100000".into(), 4, "TZID=Mars/Base: not a time zone"),
            ("DTSTART:20261324".into(), 4, "neither a day nor a time"),
            (start.to_owned() + "DURATION:-PT1H", 5, "not a length of time such as PT4H"),
            (start.to_owned() + "DURATION:PT1H\r\nRDATE:20261225T100000Z", 6, "RDATE is not"),
            (start.to_owned() + "DURATION:PT1H\r\nRRULE:FREQ=HOURLY", 6, "FREQ=HOURLY"),
            (start.to_owned() + "DURATION:PT1H\r\nRRULE:FREQ=DAILY;BYSETPOS=1", 6, "BYSETPOS"),
        ] {
            let fault = taken(&event).expect_err(&event);
            assert_eq!(fault.line, line, "{fault}");
            assert!(fault.what.contains(what), "{fault}");
        }
        let of = |text: &str| times(text, None, Timestamp::MIN, Timestamp::MAX);
        assert!(of("").expect_err("nothing").what.starts_with("not a calendar"));
        assert!(of("<html>").expect_err("a page").what.starts_with("not a calendar"));
        let cut = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224T100000Z\n";
        assert!(of(cut).expect_err("cut").what.contains("in the middle"));
        let floating = calendar("DTSTART:20261224T100000\r\nDURATION:PT1H");
        assert!(of(&floating).expect_err("no zone").what.starts_with("of which time zone?"));
    }
}
