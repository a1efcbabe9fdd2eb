//! The lab that goes on standing: `up`, `exec`, `log`, `power`, `cable` and `down`.
//!
//! `up` starts this program once more, in the background, as the keeper ([`lab`]): it owns the
//! hosts, and they are gone when it is. Every other command is a short conversation with the keeper
//! through a socket that only its user can reach: a line of words there, a line of JSON back.
//! `exec` asks the keeper for a process of the host only, and enters by itself (`enter`), so that
//! what runs there has this terminal.

mod directory;
mod enter;
mod lab;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;
use serde_json::{Value, json};
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::{Error, Result, exe};

use self::directory::Directory;

pub(crate) use self::lab::{KEEPER, run as keep};

/// The power switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Power {
    Off,
    On,
}

/// The plug of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plug {
    Pull,
    Plug,
}

/// What a client may ask of the keeper.
const ENTER: &str = "enter";
const LOG: &str = "log";
const POWER: &str = "power";
const CABLE: &str = "cable";
const DOWN: &str = "down";

/// Starts the keeper, and returns when its hosts are at rest.
pub(crate) fn up() -> Result<()> {
    let doing = "starting the lab";
    let failed = |error: io::Error| Error::new(doing, error);
    let vrrpd = vrrpd_program()?;
    let mut lab = Command::new(exe()?)
        .arg(KEEPER)
        .env("VRRPD", vrrpd)
        // It was built just now.
        .env_remove("CARGO")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(stdout) = lab.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(failed)?;
    }
    match line.trim_end().split_once(' ') {
        Some((lab::READY, hosts)) => {
            explain(hosts);
            Ok(())
        }
        Some((lab::FAILED, why)) => Err(Error::new(doing, why)),
        Some(_) | None => {
            let status = lab.wait().map_err(failed)?;
            Err(Error::new(doing, format!("its keeper ended: {status}")))
        }
    }
}

/// Takes the lab down, and returns when it is gone.
pub(crate) fn down() -> Result<()> {
    let place = Directory::find()?;
    ask(&place, &[DOWN])?;
    place.wait_until_free()?;
    say("The lab is down.");
    Ok(())
}

/// Runs a command on a host, and exits as it does.
pub(crate) fn exec(host: &str, command: &[String]) -> Result<ExitCode> {
    let reply = ask(&Directory::find()?, &[ENTER, host])?;
    let pid = reply["pid"].as_u64().unwrap_or_default();
    let path = reply["path"].as_str().unwrap_or_default();
    enter::run(pid, path, command)
}

/// Prints what the daemons of a host said.
pub(crate) fn log(host: &str) -> Result<()> {
    let reply = ask(&Directory::find()?, &[LOG, host])?;
    say(reply["log"].as_str().unwrap_or_default().trim_end());
    Ok(())
}

/// Switches a host on or off.
pub(crate) fn power(host: &str, power: Power) -> Result<()> {
    let word = match power {
        Power::Off => "off",
        Power::On => "on",
    };
    ask(&Directory::find()?, &[POWER, host, word]).map(drop)
}

/// Pulls a cable or puts it back.
pub(crate) fn cable(host: &str, interface: &str, plug: Plug) -> Result<()> {
    let word = match plug {
        Plug::Pull => "pull",
        Plug::Plug => "plug",
    };
    ask(&Directory::find()?, &[CABLE, host, interface, word]).map(drop)
}

/// One conversation with the keeper.
fn ask(place: &Directory, words: &[&str]) -> Result<Value> {
    let doing = "asking the lab";
    let failed = |error: io::Error| Error::new(doing, error);
    let mut stream = UnixStream::connect(place.socket())
        .map_err(|_| Error::new(doing, format!("no lab is standing: {} up", this_program())))?;
    writeln!(stream, "{}", json!(words)).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(failed)?;
    let reply: Value = serde_json::from_str(&line)
        .map_err(|error| Error::new(doing, format!("it answered {line:?}: {error}")))?;
    match reply["error"].as_str() {
        Some(error) => Err(Error::new(doing, error)),
        None => Ok(reply),
    }
}

fn explain(hosts: &str) {
    let this = this_program();
    say(&format!(
        "The lab stands: {hosts}.\n\n    \
         {this} exec master -- bash                   a shell on a host\n    \
         {this} exec master -- vrrpd status           who is master, and why\n    \
         {this} exec client -- curl 192.168.224.100   what the client sees\n    \
         {this} log backup                            what the daemon said\n    \
         {this} power master off                      and on\n    \
         {this} cable master ens33 pull               and plug\n    \
         {this} down                                  the end"
    ));
}

/// How the person who started this program can start it again.
fn this_program() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release -p vrrp-lab --".to_owned();
    }
    std::env::args()
        .next()
        .unwrap_or_else(|| "vrrp-lab".to_owned())
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
