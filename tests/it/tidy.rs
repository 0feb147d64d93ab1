//! Checks of the code itself: the floors of the house, and what no lint of rustc or clippy says.
//!
//! Paths are read from the text of `src`, comments and literals left out: what a `use` brings in,
//! tree by tree, and every other path that is written out. `crate::` and `super::` are followed to
//! the module they lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of the house.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Values; no decisions.
    Words,
    /// Decides; time and octets come in as arguments.
    Head,
    /// Touches the world; decides nothing.
    Hands,
    /// The programs.
    Doors,
}

/// The other modules that a module may name.
#[derive(Clone, Copy, Debug)]
enum Names {
    /// All that stand before it.
    AllBefore,
    /// These, all of which stand before it.
    Only(&'static [&'static str]),
}

/// A module of `src`.
struct Floor {
    part: Part,
    module: &'static str,
    names: Names,
    /// What it may use from outside: crates, and of `std` what is [`WORLD`].
    uses: &'static [&'static str],
}

const fn floor(
    part: Part,
    module: &'static str,
    names: Names,
    uses: &'static [&'static str],
) -> Floor {
    Floor { part, module, names, uses }
}

/// Every module of `src`, ground floor first.
#[rustfmt::skip]
const FLOORS: &[Floor] = &{
    use Names::{AllBefore, Only};
    use Part::{Doors, Hands, Head, Words};
    [
        floor(Words, "units", AllBefore, &["thiserror"]),
        floor(Words, "framing", AllBefore, &["schemars", "serde"]),
        floor(Words, "direction", AllBefore, &["schemars", "serde"]),
        floor(Words, "clock", AllBefore, &[]),
        floor(Words, "wrap", AllBefore, &["comfy_table", "textwrap", "unicode_width"]),
        floor(Words, "stats", AllBefore, &["base64", "hdrhistogram", "thiserror"]),
        // A schema is made in tests alone: schemars is none of the programs' crates.
        floor(Words, "account", AllBefore, &["schemars", "serde", "serde_json", "thiserror"]),
        // Seals and keys are octets of the protocol, so their arithmetic is here; a succession of
        // keys has dates.
        floor(Words, "wire", AllBefore,
            &["base64", "hmac", "jiff", "rustls_pki_types", "serde", "serde_json", "sha2",
            "siphasher", "thiserror", "zeroize"]),

        floor(Head, "trial", AllBefore, &["serde", "thiserror"]),
        floor(Head, "policy", AllBefore, &["jiff", "thiserror"]),
        floor(Head, "pace", AllBefore, &[]),
        floor(Head, "flow", AllBefore, &["rand", "thiserror"]),
        floor(Head, "metric", AllBefore, &["schemars", "serde"]),
        floor(Head, "validity", AllBefore, &[]),
        floor(Head, "verdict", AllBefore, &["schemars", "serde"]),
        floor(Head, "plan", AllBefore,
            &["annotate_snippets", "croner", "jiff", "schemars", "serde", "strsim", "thiserror",
            "toml"]),
        // Seeded dice: the same seed is the same line.
        floor(Head, "emulation", AllBefore, &["rand", "rand_distr", "serde"]),
        floor(Head, "method", AllBefore, &["thiserror"]),
        floor(Head, "session", AllBefore, &["thiserror"]),
        floor(Head, "forecast", AllBefore, &[]),
        floor(Head, "schedule", AllBefore, &["jiff", "serde_json", "thiserror"]),
        floor(Head, "report", AllBefore, &[
            "base64", "csv", "hdrhistogram", "jiff", "schemars", "serde", "serde_json", "thiserror",
        ]),

        // It reads reports, and stands behind them.
        floor(Head, "history", AllBefore, &[
            "csv", "jiff", "serde", "serde_json",
        ]),
        floor(Head, "health", AllBefore, &["jiff", "serde", "serde_json", "sha2"]),
        floor(Head, "alerting", AllBefore,
            &["hmac", "jiff", "serde", "serde_json", "sha2", "toml"]),

        floor(Hands, "io", Only(&["units", "direction", "clock", "account", "wire"]), &[
            "base64", "libc", "rand", "rustls", "sd_notify", "sha2", "socket2", "thiserror",
            "tokio", "tokio_rustls", "tokio_util", "tracing", "tracing_subscriber", "std::env",
            "std::fs", "std::io", "std::net", "std::os", "std::process", "std::sync", "std::thread",
            "std::time::Instant", "std::time::SystemTime", "zeroize",
        ]),
        // Dice for payloads that no line compresses.
        floor(Hands, "dataplane", Only(&[
            "units", "direction", "clock", "account", "wire", "trial", "flow", "io",
        ]), &["rand", "thiserror", "tracing", "std::io", "std::sync", "std::thread"]),

        floor(Hands, "store", Only(&[
            "stats", "account", "wire", "verdict", "report", "history", "health", "alerting", "io",
        ]), &[
            "flate2", "serde", "serde_json", "sha2", "sqlx", "std::fs", "std::io", "thiserror",
            "tokio",
        ]),

        floor(Doors, "cli", Only(&[
            "units", "framing", "direction", "account", "wire", "trial", "policy", "metric",
            "verdict", "plan", "report", "history", "health", "store",
        ]), &["clap"]),
        // A library: no arguments.
        floor(Doors, "driver", Only(&[
            "units", "direction", "clock", "framing", "account", "wire", "trial", "policy", "flow",
            "plan", "method", "session", "report", "health", "io", "dataplane",
        ]), &["rand", "thiserror", "tokio", "tracing", "std::io", "std::sync"]),
        floor(Doors, "agent", Only(&[
            "units", "framing", "direction", "clock", "account", "wire", "trial", "policy", "flow",
            "session", "io", "dataplane", "cli",
        ]), &[
            "jiff", "rand", "thiserror", "tokio", "tracing", "std::io", "std::process", "std::sync",
        ]),
        floor(Doors, "demo", Only(&[
            "units", "framing", "clock", "stats", "direction", "wire", "trial", "metric", "plan",
            "emulation", "io", "driver", "agent",
        ]), &["pnet_packet", "rand", "tokio", "tracing", "std::io", "std::sync", "std::thread"]),
        floor(Doors, "commands", AllBefore, &[
            "indicatif", "jiff", "serde", "serde_json", "thiserror", "tokio", "tracing", "std::io",
            "std::process",
        ]),
        floor(Doors, "bin", Only(&["io", "cli", "agent", "commands"]), &["std::process"]),
        floor(Doors, "lib", AllBefore, &[]),
    ]
};

/// What of `std` touches the world, waits or is shared between threads.
const WORLD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::sync",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// The crates that touch the world or talk to people: never for words and head.
const WORLDLY_CRATES: &[&str] = &[
    "clap",
    "indicatif",
    "libc",
    "rustls",
    "socket2",
    "sqlx",
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "tracing",
    "tracing_subscriber",
];

/// Where a program meets people, and the shell that started it.
const PEOPLE: &[&str] = &[
    "clap",
    "indicatif",
    "crate::cli",
    "crate::io::log::start",
    "crate::io::terminal",
    "std::process",
    "tokio::signal",
];

/// What the tests beside the code may use besides.
const USED_BY_TESTS: &[&str] = &[
    "insta",
    "proptest",
    "rand",
    "rand_distr",
    "serde_json",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "tempfile",
    "unicode_width",
];

/// Names that say nothing, so that anything ends up there.
const NAMELESS: &[&str] = &["common", "core", "helpers", "manager", "misc", "util", "utils"];

/// Crates for terminals, schemas and tables, which no dependency of the agent may bring with it.
/// (Of the optional ones strsim comes with clap, and says which option was meant; flate2 comes with
/// hdrhistogram.)
const NOT_THE_AGENTS: [&str; 8] = [
    "anstream",
    "console",
    "crossterm",
    "nu-ansi-term",
    "schemars",
    "terminal_size",
    "toml_edit",
    "unicode-width",
];

const COLUMNS_MAX: usize = 100;

/// It has no exceptions, so no imports go in a circle between modules; `scripts/shape` finds those
/// between files.
#[test]
fn modules_name_only_what_stands_before_them() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(place) = FLOORS.iter().position(|floor| floor.module == source.module) else {
            faults.push(format!("{}: '{}' has no floor", source.path.display(), source.module));
            continue;
        };
        for Mention { line, path, .. } in &source.mentions {
            let Some(named) = path.strip_prefix("crate::") else { continue };
            let named = named.split("::").next().expect("a split has a first part");
            if named != source.module && !may_name(place, named) {
                let (path, module) = (source.path.display(), &source.module);
                faults.push(format!("{path}:{line}: '{module}' may not name '{named}'"));
            }
        }
    }
    none(&faults);
}

#[test]
fn modules_use_only_what_is_granted_from_outside() {
    let crates = outside_crates();
    let mut faults = Vec::new();
    for source in sources() {
        let Some(floor) = FLOORS.iter().find(|floor| floor.module == source.module) else {
            continue;
        };
        for Mention { line, path, in_tests } in &source.mentions {
            let root = path.split("::").next().expect("a split has a first part");
            // A module brought in whole brings all that is in it.
            let touches_world = WORLD.iter().any(|world| is_within(path, world))
                || WORLD.iter().any(|world| path == "std" || is_parent(path, world));
            let is_outside = crates.contains(root) || touches_world;
            let is_granted = floor.uses.iter().any(|granted| is_within(path, granted))
                || *in_tests && USED_BY_TESTS.iter().any(|granted| is_within(path, granted));
            if is_outside && !is_granted {
                let (file, module) = (source.path.display(), floor.module);
                faults.push(format!("{file}:{line}: '{module}' may not use '{path}'"));
            }
        }
    }
    none(&faults);
}

/// What is a library hands values over; its caller may have no terminal, and signals of its own.
#[test]
fn the_programs_alone_print_exit_and_handle_signals() {
    let mut faults = Vec::new();
    let is_program = |module: &str| ["io", "cli", "agent", "commands", "bin"].contains(&module);
    for source in sources().iter().filter(|source| !is_program(&source.module)) {
        for Mention { line, path, .. } in &source.mentions {
            if PEOPLE.iter().any(|place| is_within(path, place) || is_parent(path, place)) {
                let (file, module) = (source.path.display(), &source.module);
                faults.push(format!("{file}:{line}: '{module}' is a library, and uses '{path}'"));
            }
        }
    }
    none(&faults);
}

/// The table itself keeps the order: what a row names stands before it, and no row for the words or
/// the head grants the world.
#[test]
fn the_floors_stand_on_each_other() {
    let mut faults = Vec::new();
    for (place, Floor { part, module, names, uses }) in FLOORS.iter().enumerate() {
        let before: Vec<&str> = FLOORS[..place].iter().map(|floor| floor.module).collect();
        if let Names::Only(names) = names {
            let after = names.iter().filter(|named| !before.contains(*named));
            faults.extend(after.map(|named| format!("'{module}' stands before '{named}'")));
        }
        if matches!(part, Part::Words | Part::Head) {
            let touches_world = |used: &&&str| {
                WORLDLY_CRATES.contains(*used) || WORLD.iter().any(|world| is_within(world, used))
            };
            let worldly = uses.iter().filter(touches_world);
            faults.extend(worldly.map(|used| format!("'{module}' is granted '{used}'")));
        }
    }
    none(&faults);
}

#[test]
fn every_module_is_in_the_house_and_has_a_name_that_says_something() {
    let mut faults = Vec::new();
    let lib = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let listed: Vec<&str> = lib.lines().filter_map(declared_module).collect();
    let sources = sources();
    for floor in FLOORS.iter().filter(|floor| !["bin", "lib"].contains(&floor.module)) {
        if !listed.contains(&floor.module) {
            faults.push(format!("src/lib.rs does not list '{}'", floor.module));
        }
        if !sources.iter().any(|source| source.module == floor.module) {
            faults.push(format!("'{}' has a floor, and no file", floor.module));
        }
    }
    for module in
        listed.iter().filter(|module| !FLOORS.iter().any(|floor| floor.module == **module))
    {
        faults.push(format!("'{module}' of src/lib.rs has no floor"));
    }
    for Source { path, text, .. } in &sources {
        for (line, module) in
            numbered(text).filter_map(|(i, line)| Some((i, declared_module(line)?)))
        {
            if NAMELESS.contains(&module) {
                faults.push(format!("{}:{line}: '{module}' says nothing", path.display()));
            }
        }
    }
    none(&faults);
}

#[test]
fn lines_fit_and_nothing_is_left_over() {
    // Spelled in two, so that this file is not at fault itself.
    let leftovers = ["TO", "FIX", "XX", "HA"].iter().zip(["DO", "ME", "X", "CK"]);
    let leftovers: Vec<String> = leftovers.map(|(front, back)| format!("{front}{back}")).collect();
    let mut faults = Vec::new();
    for path in
        ["src", "tests", "benches", "scripts"].iter().flat_map(|root| rust_files(Path::new(root)))
    {
        let text = fs::read_to_string(&path).expect("a file of text");
        for (line, content) in numbered(&text) {
            // A raw literal and a table's row have no place to be broken at.
            let is_whole = content.contains("r#\"") || content.starts_with("//! |");
            if COLUMNS_MAX < content.chars().count() && !is_whole {
                let path = path.display();
                faults.push(format!("{path}:{line}: longer than {COLUMNS_MAX} columns"));
            }
            for leftover in leftovers.iter().filter(|leftover| content.contains(*leftover)) {
                faults.push(format!("{}:{line}: leftover {leftover}", path.display()));
            }
        }
    }
    none(&faults);
}

/// It runs on hosts that only answer, whose owners review what it is built of.
#[test]
fn an_agent_that_is_built_alone_has_none_of_the_drivers_crates() {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let optional: BTreeSet<&str> = dependencies(&manifest)
        .filter(|(_, is_optional)| *is_optional)
        .map(|(name, _)| name)
        .collect();
    let sources = sources();
    let driver_alone = driver_alone(&sources);
    let mut faults = Vec::new();
    for (name, is_optional) in dependencies(&manifest) {
        let root = name.replace('-', "_");
        let used = sources.iter().filter(|source| {
            let mut mentions = source.mentions.iter().filter(|mention| !mention.in_tests);
            mentions.any(|mention| is_within(&mention.path, &root))
        });
        let by_agent: Vec<&Path> = used
            .map(|source| source.path.as_path())
            .filter(|path| !driver_alone.iter().any(|place| path.starts_with(place)))
            .collect();
        match by_agent.first() {
            Some(path) if is_optional => {
                faults.push(format!("'{name}' is optional, and the agent's {path:?} uses it"));
            }
            None if !is_optional => {
                faults.push(format!("only the driver uses '{name}': it is to be optional"));
            }
            _ => {}
        }
    }
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--no-default-features", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo is what runs the tests");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names of crates");
    let crates: BTreeSet<&str> = tree.split_whitespace().collect();
    assert!(crates.contains("clap") && crates.contains("tokio"), "not a tree: {crates:?}");
    let comes_along = |name: &&str| ["flate2", "strsim"].contains(name);
    let unwanted = optional.iter().copied().filter(|it| !comes_along(it)).chain(NOT_THE_AGENTS);
    faults.extend(
        unwanted
            .filter(|name| crates.contains(name))
            .map(|name| format!("an agent that is built alone drags in '{name}'")),
    );
    none(&faults);
}

/// Where the code names a metric outside its file and the list, and why that is no fault: what a
/// metric is called elsewhere would have to be changed with each new one.
const NAMED_ELSEWHERE: &[(&str, &[&str], &str)] = &[
    ("src/cli/driver.rs", &["THROUGHPUT"], "a load at a rate asks for that rate"),
    (
        "src/demo/mod.rs",
        &["THROUGHPUT", "LOSS", "RTT_P99", "OUTAGE"],
        "the demo's requirements are a plan, which is data",
    ),
    (
        "src/emulation/text.rs",
        &["loss", "jitter", "outage"],
        "words for what an emulated link does",
    ),
    (
        "src/health/state/bounds.rs",
        &["LOSS", "RTT_P99", "RTT_P999", "JITTER"],
        "what a second of probing is held against",
    ),
    ("src/health/state/tests.rs", &["LOSS", "RTT_P99"], "these are tests"),
    (
        "src/health/state/words.rs",
        &["loss", "outage", "throughput"],
        "what a state is due to, whatever was required",
    ),
    (
        "src/history/comparison/quantity.rs",
        &["loss", "jitter"],
        "runs are compared by what was measured, whatever was required of it",
    ),
];

/// A new metric is a new file and a line in the list: nothing else in the code knows one by name.
#[test]
fn metrics_are_named_in_their_own_files_and_in_the_list_alone() {
    let list = fs::read_to_string("src/metric/mod.rs").expect("the list");
    let (_, list) = list.split_once("\nmetrics! {\n").expect("it begins");
    let (list, _) = list.split_once("\n}\n").expect("it ends");
    let pairs: Vec<(&str, &str)> = list
        .lines()
        .map(|line| line.trim().trim_end_matches(',').split_once(": ").expect("a constant, a file"))
        .collect();
    assert!(8 < pairs.len(), "{pairs:?}");
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for path in rust_files(Path::new("src")) {
        let file = path.to_str().expect("ASCII");
        let is_own = |name: &str| path == Path::new(&format!("src/metric/{name}.rs"));
        let text = fs::read_to_string(&path).expect("a file of text");
        let code = without_tests(&text);
        let words = tokens(code);
        let consts = words.array_windows().filter_map(|[of, colons, name]| {
            let is_path = of.text == "Metric" && colons.text == "::";
            is_path.then_some((name.line, name.text.as_str()))
        });
        let consts = consts.filter(|(_, name)| pairs.iter().any(|(constant, _)| constant == name));
        let texts = literals(code);
        let texts = texts.iter().flat_map(|(line, text)| {
            let said = pairs.iter().filter(move |(_, name)| says(text, name));
            said.map(move |(_, name)| (*line, *name))
        });
        for (line, name) in consts.chain(texts) {
            if is_own(name) || file == "src/metric/mod.rs" {
                continue;
            }
            named.insert((file.to_owned(), name.to_owned()));
            let is_excepted = NAMED_ELSEWHERE
                .iter()
                .any(|(excepted, names, _)| *excepted == file && names.contains(&name));
            if !is_excepted {
                faults.push(format!("{file}:{line}: names {name}"));
            }
        }
    }
    for (file, names, why) in NAMED_ELSEWHERE {
        let gone = names.iter().filter(|name| !named.contains(&((*file).into(), (**name).into())));
        faults.extend(gone.map(|name| format!("{file} no longer names {name}, as {why}")));
    }
    none(&faults);
}

/// Where they differ, `scripts/check` compiles the crates of others once more for the fuzz targets.
#[test]
fn the_fuzz_targets_are_checked_by_the_profile_of_the_tests() {
    let profile = |path: &str| {
        let text = fs::read_to_string(path).expect("a manifest");
        let from = text.find("[profile.dev]").expect("its profile");
        let len = text[from..].find("[profile.release]").expect("stands before the next");
        text[from..][..len].to_owned()
    };
    assert_eq!(profile("Cargo.toml"), profile("tests/fuzz/Cargo.toml"));
}

#[test]
fn one_file_is_unsafe() {
    let mut faults = Vec::new();
    let is_safe =
        |path: &Path| path != Path::new("src/io/sys.rs") && !path.starts_with("src/io/sys");
    for source in sources().iter().filter(|source| is_safe(&source.path)) {
        let words = tokens(&source.text);
        let unsafes = words.iter().filter(|token| token.text == "unsafe");
        faults.extend(unsafes.map(|token| format!("{}:{}", source.path.display(), token.line)));
    }
    none(&faults);
}

/// The reader of paths is worth nothing if it overlooks some.
#[test]
fn paths_are_read_out_of_any_code() {
    let text = r##"
        //! crate::comment::Path
        use crate::{clock::{self, Stamp}, wire as octets};
        use super::silences::Silence;
        pub use std::{fs, io::{self as input, Read}};
        fn f<'a>(text: &'a str) -> std::io::Result<()> { // tokio::spawn
            let _ = ("libc::open", '"', r#"rand::rng " "#, b"\"", text);
            /* rand::rng */ crate::emulation::Spec::default();
        }
        mod tests { use super::super::window::*; fn g() { tokio::spawn(super::f()) } }
        mod hex { mod deep { use super::super::super::super::cli::Args; } }
    "##;
    let found: Vec<String> =
        mentions(&["flow", "sender"], text).into_iter().map(|mention| mention.path).collect();
    let expected = [
        "crate::clock",
        "crate::clock::Stamp",
        "crate::wire",
        "crate::flow::silences::Silence",
        "std::fs",
        "std::io",
        "std::io::Read",
        "std::io::Result",
        "crate::emulation::Spec::default",
        "crate::flow::window",
        "tokio::spawn",
        "crate::flow::sender::f",
        "crate::cli::Args",
    ];
    assert_eq!(found, expected);
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Whether the module at `place` may name the module `named`.
fn may_name(place: usize, named: &str) -> bool {
    match FLOORS[place].names {
        Names::AllBefore => FLOORS[..place].iter().any(|floor| floor.module == named),
        Names::Only(names) => names.contains(&named),
    }
}

/// Whether `path` is `place` or lies in it.
fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `path` is a module of `std` that holds `place` and not only places like it: `std::net`
/// brought in whole would hide its sockets.
fn is_parent(path: &str, place: &str) -> bool {
    path != place && is_within(place, path)
}

/// The crates of Cargo.toml, as code names them.
fn outside_crates() -> BTreeSet<String> {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let mut crates = BTreeSet::new();
    let mut is_in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_in_dependencies = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| is_in_dependencies) {
            crates.insert(name.trim().replace('-', "_"));
        }
    }
    assert!(crates.contains("tokio"), "Cargo.toml is not read as it is written: {crates:?}");
    crates
}

/// The crates that the programs are built of, and whether each is optional.
fn dependencies(manifest: &str) -> impl Iterator<Item = (&str, bool)> {
    let from = manifest.find("[dependencies]").expect("there are some");
    let table = manifest[from..].lines().skip(1).take_while(|line| !line.starts_with('['));
    table.filter_map(|line| {
        let (name, value) = line.split_once(" = ")?;
        Some((name, value.contains("optional = true")))
    })
}

/// The files and folders of `src` that only the driver is built of.
fn driver_alone(sources: &[Source]) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("src/bin/linkqual.rs")];
    for Source { path, text, .. } in sources {
        let home = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib") => path.parent().expect("it lies in src").to_owned(),
            _ => path.with_extension(""),
        };
        let declared = text.split("#[cfg(feature = \"driver\")]\n").skip(1);
        let modules = declared.filter_map(|text| declared_module(text.lines().next()?));
        places.extend(
            modules.flat_map(|name| [home.join(name), home.join(name).with_extension("rs")]),
        );
    }
    places
}

/// The code of a file up to the tests at its end.
fn without_tests(text: &str) -> &str {
    let tests = text.find("\n#[cfg(test)]\nmod tests").or_else(|| {
        text.match_indices("\n#[cfg(test)]\npub")
            .map(|(at, _)| at)
            .find(|at| text[*at..].lines().nth(2).is_some_and(|line| line.ends_with("mod tests {")))
    });
    tests.map_or(text, |at| &text[..at])
}

/// Whether the literal `text` says the name of a metric: one of several words anywhere as a word,
/// another only by itself, as it is a word of English too.
fn says(text: &str, name: &str) -> bool {
    let is_part = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == '-';
    let text = text.trim_start_matches("--").replace('-', "_");
    match name.contains('_') {
        true => text.split(|sign| !is_part(sign)).any(|word| word == name),
        false => text == name,
    }
}

/// The texts in `code`, with their lines.
fn literals(code: &str) -> Vec<(usize, String)> {
    let (mut found, mut rest, mut line) = (Vec::new(), code, 1);
    while let Some(first) = rest.chars().next() {
        let len = literal_len(rest);
        if 0 < len && !rest.starts_with('/') {
            let text = rest[..len].trim_start_matches(['b', 'r', '#']);
            found.push((line, text.trim_matches(['"', '#', '\'']).to_owned()));
        }
        let len = len.max(first.len_utf8());
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    found
}

/// The reader of names is worth nothing if it overlooks some.
#[test]
fn names_of_metrics_are_seen() {
    let said = [("loss", "loss"), ("--loss", "loss"), ("of rtt_p99 in", "rtt_p99")];
    assert!(said.iter().all(|(text, name)| says(text, name)));
    assert!(says("--rtt-p99-loaded", "rtt_p99_loaded"));
    let not = [("a loss", "loss"), ("rtt_p99_s", "rtt_p99"), ("rtt_p99", "rtt_p999")];
    assert!(not.iter().all(|(text, name)| !says(text, name)));
    let code =
        "// \"a\"\nlet b = \"c\"; /* \"d\" */ let e = r#\"f\"#;\n#[cfg(test)]\nmod tests { \"g\" }";
    let expected = [(2, "c".to_owned()), (2, "f".to_owned())];
    assert_eq!(literals(without_tests(code)), expected);
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// The module that `line` declares.
fn declared_module(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "mod")?;
    let is_declaration = words[..place].iter().all(|word| word.starts_with("pub"));
    is_declaration.then(|| words.get(place + 1))?.map(|name| name.trim_end_matches(';'))
}

/// A file of `src`.
struct Source {
    path: PathBuf,
    /// The module under `src` that it is of: `wire` of `src/wire/probe.rs`.
    module: String,
    text: String,
    mentions: Vec<Mention>,
}

fn sources() -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a file of text");
        let inner = path.strip_prefix("src").expect("it was found there").with_extension("");
        let mut home: Vec<&str> = inner.iter().map(|part| part.to_str().expect("ASCII")).collect();
        let module = home[0].to_owned();
        if home.last() == Some(&"mod") {
            home.pop();
        }
        let mentions = mentions(&home, &text);
        Source { path, module, text, mentions }
    };
    rust_files(Path::new("src")).into_iter().map(read).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of the house") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A path that is written somewhere, from `crate::` or an outside crate on.
#[derive(Debug)]
struct Mention {
    line: usize,
    path: String,
    in_tests: bool,
}

/// The paths in `text`, which is the code of the module `home`.
fn mentions(home: &[&str], text: &str) -> Vec<Mention> {
    let mut reader = Reader { tokens: tokens(text), at: 0, found: Vec::new() };
    let mut home: Vec<String> = home.iter().map(|&part| part.to_owned()).collect();
    reader.module(&mut home, false);
    reader.found
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    found: Vec<Mention>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn take(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).map_or_else(String::new, |token| token.text.clone())
    }

    /// Reads up to the brace that closes the module.
    fn module(&mut self, home: &mut Vec<String>, in_tests: bool) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "{" => depth += 1,
                "mod" if self.peek(2) == "{" => {
                    self.at += 1;
                    let name = self.take();
                    self.at += 1;
                    let in_tests = in_tests || name == "tests";
                    home.push(name);
                    self.module(home, in_tests);
                    home.pop();
                }
                "use" => {
                    self.at += 1;
                    self.tree(home, &[], in_tests);
                    continue;
                }
                _ if self.peek(1) == "::" && is_name(self.peek(0)) => {
                    self.tree(home, &[], in_tests);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads a path, or the tree of a `use`, all below `trunk`.
    fn tree(&mut self, home: &[String], trunk: &[String], in_tests: bool) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut path = trunk.to_vec();
        loop {
            if self.peek(0) == "{" && !path.is_empty() {
                self.at += 1;
                while !matches!(self.peek(0), "}" | "") {
                    self.tree(home, &path, in_tests);
                    if self.peek(0) == "as" {
                        self.at += 2;
                    }
                    if self.peek(0) == "," {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            if self.peek(0) == "*" {
                self.at += 1;
                break;
            }
            if !is_name(self.peek(0)) {
                break;
            }
            let name = self.take();
            if name != "self" || path.is_empty() {
                path.push(name);
            }
            if self.peek(0) != "::" {
                break;
            }
            self.at += 1;
        }
        if path.len() == trunk.len() && trunk.is_empty() {
            // Neither a name nor a tree: such as `<T as Trait>::name`.
            self.at += 1;
            return;
        }
        if let Some(path) = from_root(home, &path) {
            self.found.push(Mention { line, path, in_tests });
        }
    }
}

/// `path` from the crate's root on, where it is written from elsewhere; `None` where it leads
/// nowhere but down from `home`.
fn from_root(home: &[String], path: &[String]) -> Option<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    match path.first()?.as_str() {
        "self" | "Self" => None,
        "super" => {
            let base = home.len().checked_sub(supers).expect("no module is above the root");
            let parts = ["crate"].into_iter().chain(home[..base].iter().map(String::as_str));
            let parts: Vec<&str> = parts.chain(path[supers..].iter().map(String::as_str)).collect();
            Some(parts.join("::"))
        }
        // The programs name the library from outside.
        "linkqual" => Some(["crate"].into_iter().chain(path[1..].iter().map(String::as_str)))
            .map(|parts| parts.collect::<Vec<_>>().join("::")),
        _ => Some(path.join("::")),
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// A word, a `::`, or any other single sign of code.
#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

/// The tokens of `text`, its comments, texts and characters left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let len = literal_len(rest);
        if 0 < len {
            line += rest[..len].matches('\n').count();
            rest = &rest[len..];
            continue;
        }
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        let len = match first {
            _ if is_word(first) => rest.find(|sign| !is_word(sign)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        line += usize::from(first == '\n');
        if !first.is_whitespace() {
            tokens.push(Token { line, text: rest[..len].to_owned() });
        }
        rest = &rest[len..];
    }
    tokens
}

/// Octets of the comment or literal that `text` begins with; 0 where it begins with neither.
fn literal_len(text: &str) -> usize {
    let through = |end: &str, from: usize| {
        text[from..].find(end).map_or(text.len(), |place| from + place + end.len())
    };
    if text.starts_with("//") {
        return through("\n", 2);
    }
    if text.starts_with("/*") {
        return through("*/", 2);
    }
    let raw = text.trim_start_matches('b');
    if let Some(hashes) =
        raw.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len())
    {
        let opened = text.len() - raw.len() + 1 + hashes;
        if text[opened..].starts_with('"') {
            return through(&format!("\"{}", "#".repeat(hashes)), opened + 1);
        }
    }
    let opened = usize::from(text.starts_with("b\"") || text.starts_with("b'"));
    let quote = match text[opened..].chars().next() {
        Some('"') => '"',
        // A lifetime has no quote behind its first sign.
        Some('\'') if text[opened + 1..].starts_with('\\') => '\'',
        Some('\'') if text[opened + 1..].chars().nth(1) == Some('\'') => '\'',
        _ => return 0,
    };
    let mut is_escaped = false;
    for (place, sign) in text[opened + 1..].char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if sign == quote => return opened + 1 + place + 1,
            _ => {}
        }
    }
    text.len()
}
