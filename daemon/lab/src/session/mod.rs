//! The interactive lab: `up`, `exec`, `log`, `power`, `cable` and `down`.
//!
//! `up` starts this program again in the background as the keeper ([`lab`]), which owns the hosts:
//! they exist as long as it runs. Each other command sends one request to the keeper through a
//! socket that only its user can open: one line with a JSON array of words there, one line of JSON
//! back. `exec` requests only the PID of the host's init and enters the host from its own process
//! (`enter`), so that the command has the caller's terminal.

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

/// Position of a power switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Power {
    Off,
    On,
}

/// Action on a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plug {
    Pull,
    Plug,
}

/// Requests to the keeper.
const ENTER: &str = "enter";
const LOG: &str = "log";
const POWER: &str = "power";
const CABLE: &str = "cable";
const DOWN: &str = "down";

/// Starts the keeper and returns when its hosts are at rest.
pub(crate) fn up() -> Result<()> {
    let doing = "starting the lab";
    let failed = |error: io::Error| Error::new(doing, error);
    let vrrpd = vrrpd_program()?;
    let mut lab = Command::new(exe()?)
        .arg(KEEPER)
        .env("VRRPD", vrrpd)
        // vrrpd_program() has just built it; the keeper must not run cargo again.
        .env_remove("CARGO")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The keeper outlives this command and must not keep its terminal or pipe open.
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
            print_instructions(hosts);
            Ok(())
        }
        Some((lab::FAILED, why)) => Err(Error::new(doing, why)),
        Some(_) | None => {
            let status = lab.wait().map_err(failed)?;
            Err(Error::new(doing, format!("the keeper exited: {status}")))
        }
    }
}

/// Stops the lab and returns when its keeper has exited.
pub(crate) fn down() -> Result<()> {
    let directory = Directory::find()?;
    ask(&directory, &[DOWN])?;
    directory.wait_until_free()?;
    print("The lab is down.");
    Ok(())
}

/// Runs a command on a host and returns its exit status.
pub(crate) fn exec(host: &str, command: &[String]) -> Result<ExitCode> {
    let reply = ask(&Directory::find()?, &[ENTER, host])?;
    let pid = reply["pid"].as_u64().unwrap_or_default();
    let path = reply["path"].as_str().unwrap_or_default();
    enter::run(pid, path, command)
}

/// Prints the log of the daemons of a host.
pub(crate) fn log(host: &str) -> Result<()> {
    let reply = ask(&Directory::find()?, &[LOG, host])?;
    print(reply["log"].as_str().unwrap_or_default().trim_end());
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

/// Pulls a cable or plugs it back in.
pub(crate) fn cable(host: &str, interface: &str, plug: Plug) -> Result<()> {
    let word = match plug {
        Plug::Pull => "pull",
        Plug::Plug => "plug",
    };
    ask(&Directory::find()?, &[CABLE, host, interface, word]).map(drop)
}

/// Sends one request to the keeper and returns its reply.
fn ask(directory: &Directory, words: &[&str]) -> Result<Value> {
    let doing = "sending a request to the lab";
    let failed = |error: io::Error| Error::new(doing, error);
    let mut stream = UnixStream::connect(directory.socket()).map_err(|_| {
        Error::new(
            doing,
            format!("no lab is running: start it with `{} up`", this_program()),
        )
    })?;
    writeln!(stream, "{}", json!(words)).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(failed)?;
    let reply: Value = serde_json::from_str(&line)
        .map_err(|error| Error::new(doing, format!("unexpected reply {line:?}: {error}")))?;
    match reply["error"].as_str() {
        Some(error) => Err(Error::new(doing, error)),
        None => Ok(reply),
    }
}

fn print_instructions(hosts: &str) {
    let this = this_program();
    print(&format!(
        "The lab is running: {hosts}.\n\n    \
         {this} exec master -- bash                   a shell on a host\n    \
         {this} exec master -- vrrpd status           state of the instances, and the reason\n    \
         {this} exec client -- curl 192.168.224.100   name of the host that serves the client\n    \
         {this} log backup                            log of the daemon on a host\n    \
         {this} power master off                      power off, or on\n    \
         {this} cable master ens33 pull               pull a cable, or plug it in\n    \
         {this} down                                  stop all hosts"
    ));
}

/// Command line with which the user started this program, for the instructions.
fn this_program() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release -p vrrp-lab --".to_owned();
    }
    std::env::args()
        .next()
        .unwrap_or_else(|| "vrrp-lab".to_owned())
}

fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
