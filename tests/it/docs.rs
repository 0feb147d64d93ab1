//! README and the manual: each command that they show is understood by the programs, and those in
//! blocks marked `console run` do what the page says.

use crate::support::{Ended, alone, run};
use clap::Parser;
use clap::error::ErrorKind;
use linkqual::cli::{AgentArgs, DriverArgs};
use std::fs;
use std::path::Path;
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const DRIVER: &str = env!("CARGO_BIN_EXE_linkqual");

/// A command, and where it stands.
#[derive(Debug)]
struct Shown {
    place: String,
    command: String,
    /// Only its name may be given, as in a sentence about it.
    in_prose: bool,
}

/// A fenced block.
#[derive(Debug, Default)]
struct Block {
    place: String,
    /// What stands behind the fence, such as `console run`.
    info: String,
    lines: Vec<String>,
}

impl Block {
    /// The commands behind a prompt, such as `far$ `, with the lines that continue them; and the
    /// other lines, which they say.
    fn parts(&self) -> (Vec<String>, Vec<&str>) {
        let (mut commands, mut said) = (Vec::new(), Vec::new());
        let mut lines = self.lines.iter().map(String::as_str);
        while let Some(line) = lines.next() {
            let Some(command) = behind_prompt(line) else {
                said.push(line);
                continue;
            };
            let mut command = command.to_owned();
            while let Some(begun) = command.strip_suffix('\\') {
                let more = lines.next().map_or("", str::trim);
                command = format!("{} {more}", begun.trim_end());
            }
            commands.push(command);
        }
        (commands, said)
    }
}

fn behind_prompt(line: &str) -> Option<&str> {
    let (prompt, command) = line.split_once(['$', '#'])?;
    let is_prompt = prompt.chars().all(char::is_alphanumeric);
    command.strip_prefix(' ').filter(|_| is_prompt).map(str::trim)
}

/// README and every page of the manual, with their names.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(Path::new(HERE).join("docs")).expect("a folder");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    let pages = docs.chain([Path::new(HERE).join("README.md")]);
    let read = |path: &Path| fs::read_to_string(path).expect("a page");
    pages.map(|path| (path.file_name().unwrap().display().to_string(), read(&path))).collect()
}

/// The fenced blocks of a page, and its text without them.
fn parted(page: &str, text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let (place, info) = (format!("{page}:{number}"), info.trim().to_owned());
                open = Some(Block { place, info, lines: Vec::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "{page}: a block without an end");
    (blocks, prose)
}

/// Every command in the blocks, and every one in the text that names a program and a word more.
fn shown() -> Vec<Shown> {
    let mut shown = Vec::new();
    for (page, text) in pages() {
        let (blocks, prose) = parted(&page, &text);
        for block in blocks {
            let place = &block.place;
            let commands = block.parts().0.into_iter();
            let shown_there = |command| Shown { place: place.clone(), command, in_prose: false };
            shown.extend(commands.map(shown_there));
        }
        // Between backticks, which a line's end may be between too.
        let spans = prose.split('`').skip(1).step_by(2);
        let commands = spans.filter(|span| span.starts_with("linkqual") && span.contains(' '));
        let shown_there = |command: &str| Shown {
            place: page.clone(),
            command: command.to_owned(),
            in_prose: true,
        };
        shown.extend(commands.map(shown_there));
    }
    shown
}

/// The words of a command, as a shell parts them, up to what it does with them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let (mut quote, mut is_escaped) = (None, false);
    for letter in command.chars() {
        match (quote, letter) {
            _ if is_escaped => {
                word.get_or_insert_default().push(letter);
                is_escaped = false;
            }
            (_, '\\') => is_escaped = true,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == letter => quote = None,
            (None, '|' | ';' | '&' | '>' | '<') => break,
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The words from the program on, where the command runs one of ours.
fn ours(command: &str) -> Option<Vec<String>> {
    let mut words = words(command);
    if words.first().is_some_and(|word| word == "sudo") {
        words.remove(0);
    }
    if words.first().is_some_and(|word| word == "cargo") && words.iter().any(|word| word == "run") {
        let binary = words.iter().position(|word| word == "--bin")?;
        let name = words.get(binary + 1)?.clone();
        let rest = words.iter().position(|word| word == "--").map_or(words.len(), |at| at + 1);
        words = [vec![name], words.split_off(rest)].concat();
    }
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    ["linkqual", "linkqual-agent"].contains(&program).then_some(words)
}

/// What a reader puts in the place of a word, such as `RATE`.
fn filled_in(word: &str) -> String {
    let filled = match word {
        "RATE" | "R" => "50M",
        "TIME" => "10s",
        "N" => "2",
        "HOST" | "HOST[:PORT]" => "10.0.0.2",
        "ADDR" | "ADDR:PORT" => "10.0.0.2:4872",
        "DAY" => "2027-03-31",
        "TOPIC" => "install",
        "COMMAND" => "check",
        "FORMAT" => "json",
        _ => word,
    };
    filled.to_owned()
}

/// Why the program does not take it.
fn refusal(words: &[String], in_prose: bool) -> Option<String> {
    let words = words.iter().map(|word| filled_in(word)).filter(|word| word != "…");
    let words: Vec<String> = words.collect();
    let parsed = match words[0].ends_with("linkqual-agent") {
        true => AgentArgs::try_parse_from(&words).map(|_| ()),
        false => DriverArgs::try_parse_from(&words).map(|_| ()),
    };
    let error = parsed.err()?;
    let is_right = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument => in_prose,
        _ => false,
    };
    (!is_right).then(|| error.to_string())
}

#[test]
fn each_command_of_the_manual_is_one_that_the_programs_take() {
    let shown = shown();
    let ours = shown.iter().filter_map(|it| Some((it, ours(&it.command)?)));
    let ours: Vec<_> = ours.collect();
    assert!(20 < ours.len(), "only {} were found", ours.len());
    let faults = ours.iter().filter_map(|(it, words)| {
        Some(format!("{}: {}\n{}", it.place, it.command, refusal(words, it.in_prose)?))
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The exit code is 0, or that of `run=CODE`; what is said begins with the word that is shown.
#[test]
fn the_commands_that_are_marked_do_what_the_page_says() {
    let mut done = 0;
    for (page, text) in pages() {
        for block in parted(&page, &text).0 {
            let Some(mark) = block.info.split(' ').find(|word| word.starts_with("run")) else {
                continue;
            };
            let code = mark.strip_prefix("run=").map_or(0, |code| code.parse().expect("a code"));
            // Packets that leave late would change what is said.
            let _alone = block.parts().0.iter().any(|it| sends(it)).then(alone);
            let ended = carried_out(&block);
            let said = format!("{}{}", ended.out, ended.err);
            assert_eq!(ended.code, Some(code), "{}: {said}", block.place);
            let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
            if let Some(shown) = block.parts().1.first() {
                assert_eq!(first(&ended.out), first(shown), "{}: {said}", block.place);
            }
            done += 1;
        }
    }
    assert!(0 < done, "no page has a block that is marked");
}

/// Whether the command measures.
fn sends(command: &str) -> bool {
    let words = words(&of_this_build(command));
    words.iter().any(|word| ["demo", "check", "run"].contains(&&word[..]))
}

/// The command, where it would first build the driver, without that: it is built.
fn of_this_build(command: &str) -> String {
    match command.split_once(" -- ") {
        Some((build, options)) if build.starts_with("cargo run") => format!("linkqual {options}"),
        _ => command.to_owned(),
    }
}

/// What the block's commands say, one after the other, in a folder of their own, by a user who has
/// no keys yet.
fn carried_out(block: &Block) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let programs = Path::new(DRIVER).parent().expect("a folder").display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let commands: Vec<String> = block.parts().0.iter().map(|it| of_this_build(it)).collect();
    let script = format!("set -e\n{}", commands.join("\n"));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(folder.path()).env("PATH", path);
    shell.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path().join("config"));
    run(&mut shell)
}

/// A plan that the manual shows is one that a reader can copy.
#[test]
fn each_plan_of_the_manual_is_one() {
    let mut plans = 0;
    for (page, text) in pages() {
        for block in parted(&page, &text).0 {
            let text = block.lines.join("\n");
            if block.info != "toml" || !text.contains("[[test]]") {
                continue;
            }
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("plan.toml"), text).expect("writable");
            let mut check = Command::new(DRIVER);
            check.args(["plan", "check", "plan.toml"]).current_dir(folder.path());
            let ended = run(check.env("XDG_CONFIG_HOME", folder.path()));
            assert_eq!(ended.code, Some(0), "{}: {}", block.place, ended.err);
            plans += 1;
        }
    }
    assert!(0 < plans, "the manual shows no plan");
}

#[test]
fn a_block_is_parted_into_commands_and_what_they_say() {
    let text = "See `linkqual a`.\n```console run=1\n$ linkqual b \\\n    'c d'\nFAIL\n# ls\n```\n";
    let (blocks, prose) = parted("page", text);
    assert_eq!(prose, "See `linkqual a`.\n");
    let [block] = &blocks[..] else { panic!("{blocks:?}") };
    assert_eq!((&block.place[..], &block.info[..]), ("page:2", "console run=1"));
    let commands = ["linkqual b 'c d'", "ls"].map(str::to_owned).to_vec();
    assert_eq!(block.parts(), (commands, vec!["FAIL"]));
}

#[test]
fn a_command_that_no_program_takes_is_found() {
    let fault = |command: &str| refusal(&ours(command).expect("one of ours"), false);
    assert_eq!(fault("sudo linkqual-agent allow driver.key.pub --max-rate RATE | tee x"), None);
    assert_eq!(fault("cargo run --release --bin linkqual -- demo --broken"), None);
    assert_eq!(fault("linkqual help TOPIC"), None);
    assert!(fault("linkqual demo --borken").is_some());
    assert!(fault("linkqual-agent allow").is_some());
    assert_eq!(ours("cargo build --release"), None);
    let demo = "cargo run --release --bin linkqual -- demo --broken";
    assert_eq!(of_this_build(demo), "linkqual demo --broken");
    assert!(sends(demo) && !sends("linkqual --version"));
}
