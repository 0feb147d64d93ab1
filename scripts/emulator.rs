//! The lab's line: two TUN devices, and the model of `line` between them; `scripts/lab` runs it.

use clap::{Parser, ValueEnum};
use linkqual::clock::{Driver, Stamp};
use linkqual::demo::emulator::{Emulator, Entry, Epoch, Pause};
use linkqual::direction::{Direction, PerDirection};
use linkqual::emulation::{Class, Counts, Fate, Spec};
use linkqual::io::terminal::{print, say};
use linkqual::io::tun::Tun;
use linkqual::stats::delays::{Delay, Delays};
use linkqual::units::Span;
use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::signal::unix::{SignalKind, signal};

/// Emulates a line between two TUN devices, and records exactly what it did.
#[derive(Debug, Parser)]
#[command(max_term_width = 100, after_help = WORDS)]
struct Args {
    /// The driver's TUN device, with its network namespace in front where it has one
    #[arg(long, value_name = "[NAMESPACE/]DEVICE")]
    near: Device,
    /// The agent's, likewise
    #[arg(long, value_name = "[NAMESPACE/]DEVICE")]
    far: Device,
    /// What the line does on the way to the agent
    #[arg(long, value_name = "WORDS", default_value = "")]
    forward: Spec,
    /// What it does on the way back
    #[arg(long, value_name = "WORDS", default_value = "")]
    reverse: Spec,
    /// What all chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The moment that outages count from
    #[arg(long, value_enum, default_value_t = EpochArg::Load)]
    epoch: EpochArg,
    /// How long the line lives; until SIGINT or SIGTERM if not given
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// File for a row for each arrival and each loss (CSV)
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Sleep while nothing is due, and be up to 100 us late, instead of taking a whole core
    #[arg(long)]
    sleep: bool,
}

const WORDS: &str = "\
WORDS, separated by spaces; without any, the line is perfect:
  mtu=1500                           longer IP packets are lost
  loss=0.1%  loss=nth:20             who is lost: by chance, each 20th,
  loss=first:3  loss=after:800         the first 3, all behind the 800th,
  loss=ge:0.1%,10%                     in bursts: chances to begin and to end, per packet
  outage=3s+500ms                    all is lost, from 3 s behind the epoch for 500 ms
  policer=100Mbit/s,64kB             a rate and a bucket: what exceeds it is lost
  rate=100Mbit/s,250kB               a rate and a queue: what exceeds it waits
  overhead=18                        octets that both count beyond the IP packet (18: L2)
  delay=10ms                         the floor of the delay
  jitter=uniform:1ms                 on top of it: at most; exponential: mean; normal: deviation
  order=kept                         jitter never reorders
  reorder=1%,5ms  reorder=nth:50,5ms     who is held back, and for how long
  duplicate=1%,1ms  duplicate=nth:10,1ms   who arrives twice, and how far apart
loss, outage, reorder and duplicate may have 'load.', 'probe.' or 'signal.' in front: they then
touch that class alone. They may be there several times.

At its end it prints what it did, one JSON document; all times are nanoseconds.";

/// A device, perhaps in a namespace.
#[derive(Clone, Debug)]
struct Device {
    namespace: Option<PathBuf>,
    name: String,
}

impl From<&str> for Device {
    fn from(text: &str) -> Self {
        match text.rsplit_once('/') {
            // A bare name is one of those that `ip netns` keeps.
            Some((namespace, name)) => {
                let namespace = Some(Path::new("/run/netns").join(namespace));
                Self { namespace, name: name.to_owned() }
            }
            None => Self { namespace: None, name: text.to_owned() },
        }
    }
}

impl Device {
    fn open(&self) -> Result<Tun, Box<dyn Error>> {
        Tun::open(self.namespace.as_deref(), &self.name).map_err(|error| {
            let place = self.namespace.as_deref().map(|path| path.display().to_string());
            let place = place.map_or_else(String::new, |place| format!(" in {place}"));
            format!("cannot open the TUN device \"{}\"{place}: {error}", self.name).into()
        })
    }
}

/// The moment that outages count from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EpochArg {
    /// When the emulator starts
    Start,
    /// The first packet of load in either direction
    Load,
}

fn main() -> ExitCode {
    match emulate(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn emulate(args: &Args) -> Result<(), Box<dyn Error>> {
    let (near, far) = (args.near.open()?, args.far.open()?);
    let specs = PerDirection { forward: args.forward.clone(), reverse: args.reverse.clone() };
    let mut emulator = Emulator::between(near, far, specs, args.seed);
    emulator.set_epoch(match args.epoch {
        EpochArg::Start => Epoch::Start,
        EpochArg::Load => Epoch::FirstLoad,
    });
    // A file that cannot be written is known before there is anything to write.
    let log = args.log.as_deref().map(csv::Writer::from_path).transpose()?;
    if log.is_some() {
        emulator.keep_log();
    }
    let is_asked = on_interrupt()?;
    let pause = if args.sleep { Pause::Sleep } else { Pause::Spin };
    let start: Stamp<Driver> = linkqual::io::clock::now();
    let end = args.duration.map(|span| start.after_nanos(span.nanos()));
    say("the line is up");
    let ran =
        emulator.run(pause, |now| is_asked.load(Relaxed) || end.is_some_and(|end| end <= now));
    if let Some(log) = log {
        write(log, emulator.log())?;
    }
    print(&(serde_json::to_string_pretty(&summary(&emulator))? + "\n"))?;
    ran.map_err(|error| format!("a TUN device is gone: {error}").into())
}

/// Becomes true when the emulator is asked to end.
fn on_interrupt() -> Result<Arc<AtomicBool>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _within = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        asked.store(true, Relaxed);
    };
    std::thread::Builder::new().name("interrupts".into()).spawn(wait)?;
    Ok(is_asked)
}

const COLUMNS: [&str; 11] = [
    "direction",
    "class",
    "number",
    "octets",
    "fate",
    "empty_ns",
    "read_ns",
    "due_ns",
    "written_ns",
    "done_ns",
    "order",
];

/// The log as rows, in the order in which packets were written.
fn write<W: std::io::Write>(mut rows: csv::Writer<W>, log: &[Entry]) -> Result<(), csv::Error> {
    rows.write_record(COLUMNS)?;
    for (order, entry) in log.iter().enumerate() {
        let at = |ns: Option<u64>| ns.map_or_else(String::new, |ns| ns.to_string());
        rows.write_record([
            &entry.direction.to_string(),
            class(entry.class),
            &entry.number.to_string(),
            &entry.octets.to_string(),
            fate(entry.fate),
            &entry.empty_ns.to_string(),
            &entry.read_ns.to_string(),
            &at(entry.out.map(|out| out.due_ns)),
            &at(entry.out.map(|out| out.written_ns)),
            &at(entry.out.map(|out| out.done_ns)),
            &order.to_string(),
        ])?;
    }
    Ok(rows.flush()?)
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Load => "load",
        Class::Probe => "probe",
        Class::Signal => "signal",
    }
}

const fn fate(fate: Fate) -> &'static str {
    use linkqual::emulation::Cause;
    match fate {
        Fate::Delivered => "delivered",
        Fate::HeldBack => "held-back",
        Fate::Lost(Cause::TooBig) => "too-big",
        Fate::Lost(Cause::Rule) => "rule",
        Fate::Lost(Cause::Outage) => "outage",
        Fate::Lost(Cause::Policed) => "policed",
        Fate::Lost(Cause::QueueFull) => "queue-full",
    }
}

fn summary(emulator: &Emulator) -> Value {
    let of = |direction| {
        let [load, probe, signal] =
            Class::ALL.map(|class| counts(&emulator.counts(direction, class)));
        json!({
            "load": load,
            "probe": probe,
            "signal": signal,
            "lateness_ns": lateness(emulator.lateness(direction)),
            "refused": emulator.refused(direction),
        })
    };
    json!({
        "forward": of(Direction::Forward),
        "reverse": of(Direction::Reverse),
        "log_missed": emulator.log_missed(),
    })
}

fn counts(counts: &Counts) -> Value {
    json!({
        "offered": counts.offered,
        "delivered": counts.delivered,
        "lost": counts.lost(),
        "lost_too_big": counts.lost_too_big,
        "lost_rule": counts.lost_rule,
        "lost_outage": counts.lost_outage,
        "lost_policed": counts.lost_policed,
        "lost_queue_full": counts.lost_queue_full,
        "duplicated": counts.duplicated,
        "held_back": counts.held_back,
        "octets_offered": counts.octets_offered,
        "octets_delivered": counts.octets_delivered,
    })
}

fn lateness(delays: &Delays) -> Value {
    let at = |q| match delays.quantile(q) {
        Some(Delay::Finite(ns)) => Some(ns),
        _ => None,
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": delays.max_ns() })
}
