//! `vrrpd man` and `vrrpd completions`: files that a package installs beside the program, generated
//! from the definition of the command line.
//!
//! One page, vrrpd(8), describes all commands, so that `man vrrpd` is complete. The other, vrrpd.json(5), is the
//! reference of the configuration.

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use roff::{Inline, Roff, bold, roman};
use vrrp_config::reference::{INTRODUCTION, Key, Section, TOP, duration, reference};

use crate::cli::{Cli, DEFAULT_CONFIGURATION, Manual};
use crate::{Failed, print};

const DESCRIPTION: &str = "\
    Hosts on one network share virtual addresses. The master holds them and sends an advertisement once an interval. \
    When the advertisements stop, or the master stops or loses what it tracks, the backup with the highest priority \
    becomes master: it adds the addresses and announces them (gratuitous ARP, unsolicited neighbor advertisements). \
    The daemon needs CAP_NET_ADMIN and CAP_NET_RAW.";

/// Sections that the definition of the command line does not contain: terms with their
/// descriptions.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "The daemon sends an advertisement of priority 0, deletes its virtual addresses, and ends.",
            ),
            (
                "SIGHUP",
                "The daemon reloads its configuration. If it is invalid, the log names every mistake, and \
                 the configuration in force stays.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Success."),
            (
                "1",
                "An error; standard error has the reason, for example a missing capability, or no running \
                 daemon for the status.",
            ),
            (
                "2",
                "Invalid configuration or command line. A restart does not help.",
            ),
            (
                "of vrrpd doctor",
                "0 without findings, 1 if there are warnings, 2 if there are errors or nothing could be examined.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            (
                DEFAULT_CONFIGURATION,
                "The configuration, described in vrrpd.json(5). vrrpd schema prints its JSON Schema.",
            ),
            (
                "control.sock",
                "Socket from which vrrpd status, explain and exporter read, in the directory of --runtime-dir.",
            ),
            (
                "events.jsonl, events.1.jsonl",
                "Events that vrrpd events prints, in the same directory; one JSON object in each line.",
            ),
            (
                "command.sock",
                "Socket for the commands to the daemon, in the same directory: for root, the daemon's user and its \
                 group.",
            ),
            (
                "commands.json",
                "The standing commands (drain, step-down, priority), in the directory of --state-dir.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "RUNTIME_DIRECTORY",
                "The directory of the sockets and of the events, unless --runtime-dir is given.",
            ),
            (
                "STATE_DIRECTORY",
                "The directory of the standing commands, unless --state-dir is given.",
            ),
            (
                "CREDENTIALS_DIRECTORY",
                "The directory of each passwordFile and keyFile with a relative path.",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM",
                "Set by systemd: the socket for notifications (ready, reloading, watchdog), the time limit of \
                 the watchdog, and the journal stream that tells whether the log goes to the journal.",
            ),
        ],
    ),
    (
        "SEE ALSO",
        &[
            ("vrrpd.json(5)", "All keys of the configuration."),
            ("RFC 9568", "Version 3 of the protocol."),
            (
                "RFC 3768, RFC 2338",
                "Version 2 of the protocol, and its authentication by password.",
            ),
        ],
    ),
];

pub(crate) fn man(section: Manual) -> Result<(), Failed> {
    print(&match section {
        Manual::Program => page(),
        Manual::Configuration => configuration(),
    })
}

pub(crate) fn completions(shell: Shell) -> Result<(), Failed> {
    let mut program = program();
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The command line without hidden commands, and without `help`, which is the same as `--help`.
fn program() -> Command {
    let whole = Cli::command();
    let shown = whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let mut program = Command::new("vrrpd")
        .about(whole.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(shown.cloned());
    program.build();
    program
}

fn page() -> String {
    let program = program();
    let name = program.get_name();
    let about = text(program.get_about());

    let mut page = begin(name, "8", &about);
    page.control("SH", ["SYNOPSIS"]);
    for command in program.get_subcommands() {
        page.text([bold(synopsis(command))]);
        page.control("br", []);
    }
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(DESCRIPTION)]);
    page.control("SH", ["COMMANDS"]);
    for command in program.get_subcommands() {
        describe(&mut page, command);
    }
    for (title, words) in SECTIONS {
        page.control("SH", [*title]);
        for (word, meaning) in *words {
            entry(&mut page, word, meaning);
        }
    }
    page.render()
}

/// The page vrrpd.json(5).
fn configuration() -> String {
    let mut page = begin("vrrpd.json", "5", "configuration of vrrpd(8)");
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(DEFAULT_CONFIGURATION)]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in INTRODUCTION.iter().copied().chain([&*duration()]) {
        page.control("PP", []);
        page.text(literals(paragraph));
    }
    for section in reference() {
        describe_section(&mut page, &section);
    }
    page.control("SH", ["SEE ALSO"]);
    entry(&mut page, "vrrpd(8)", "The program.");
    page.render()
}

/// Writes a section of the reference: the object, its keys and its example.
fn describe_section(page: &mut Roff, section: &Section) {
    let Some((title, others)) = section.places.split_first() else {
        return;
    };
    let title = if title == TOP {
        title.to_uppercase()
    } else {
        title.clone()
    };
    page.control("SH", [&*title]);
    if !others.is_empty() {
        page.text([roman("Also "), bold(others.join(", ")), roman(".")]);
    }
    for paragraph in &section.description {
        page.control("PP", []);
        page.text(literals(paragraph));
    }
    for key in &section.keys {
        describe_key(page, key);
    }
    page.control("PP", []);
    page.text([roman("Example:")]);
    page.control("PP", []);
    page.control("RS", ["4"]);
    page.control("EX", []);
    for line in section.example.trim_start().lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("RE", []);
}

fn describe_key(page: &mut Roff, key: &Key) {
    page.control("TP", []);
    let required = if key.required { ", required" } else { "" };
    page.text([
        bold(&key.name),
        roman(format!(" ({}{required})", key.types)),
    ]);
    let mut meaning = literals(&key.description);
    if let Some(section) = &key.section {
        meaning.extend([roman(" See "), bold(section), roman(".")]);
    }
    page.text(meaning);
    if !key.choices.is_empty() {
        page.control("RS", []);
        for (choice, meaning) in &key.choices {
            page.control("TP", []);
            page.text([bold(choice)]);
            page.text(literals(meaning));
        }
        page.control("RE", []);
    }
}

/// `text` with the words between backticks in bold.
fn literals(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) });
    parts.collect()
}

/// Begins a page: title and name.
fn begin(name: &str, section: &str, about: &str) -> Roff {
    let mut page = Roff::new();
    let version = format!("vrrpd {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", [&*name.to_uppercase(), section, "", &version]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {about}"))]);
    page
}

/// Writes a command, its description and its options.
fn describe(page: &mut Roff, command: &Command) {
    page.control("SS", [&*synopsis(command)]);
    let about = text(command.get_long_about().or_else(|| command.get_about()));
    for paragraph in about.split("\n\n") {
        page.control("PP", []);
        page.text([roman(sentence(paragraph))]);
    }
    for argument in command.get_arguments() {
        if argument.get_id() != "help" {
            let short = argument.get_short().map(|short| format!("-{short}, "));
            let word = format!("{}{argument}", short.unwrap_or_default());
            entry(page, &word, &meaning(argument));
        }
    }
}

fn entry(page: &mut Roff, word: &str, meaning: &str) {
    page.control("TP", []);
    page.text([bold(word)]);
    page.text([roman(meaning)]);
}

fn meaning(argument: &Arg) -> String {
    let mut meaning = sentence(&text(argument.get_help()));
    // A switch that is off by default needs no mention.
    if argument.get_action().takes_values() {
        for default in argument.get_default_values() {
            meaning.push_str(&format!(" Default: {}.", default.display()));
        }
    }
    meaning
}

/// Usage of a command: `vrrpd check [OPTIONS] [FILE]`.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

/// `text` with the full stop that help texts lack.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn text(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default()
}
