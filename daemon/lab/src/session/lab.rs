//! The keeper: the background process that runs the lab of `up`.
//!
//! Its hosts are those of experiment 2, which include those of experiment 1: two networks with one
//! virtual address each. It handles requests one after the other on one thread; no request takes
//! long.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::unistd::setsid;
use serde_json::{Value, json};
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::{Error, Host, Moment, Result, exe, isolate};
use vrrp_proto::State;

use super::directory::Directory;
use super::{CABLE, DOWN, ENTER, LOG, POWER};
use crate::experiments::{CLIENT, Fixture, Machine, PATIENCE, Role, VI_1, VI_2};

/// Hidden subcommand that runs the keeper.
pub(crate) const KEEPER: &str = "__keeper";

/// First words of the keeper's only output line.
pub(crate) const READY: &str = "ready";
pub(crate) const FAILED: &str = "failed";

/// Runs a lab until a `down` request. Prints one line: whether the lab started.
pub(crate) fn run() -> Result<()> {
    let outcome = run_until_down();
    if let Err(error) = &outcome {
        // `up` waits for this line, and standard error is /dev/null.
        let text = error.to_string().replace('\n', " ");
        let _ = writeln!(io::stdout(), "{FAILED} {text}");
    }
    outcome
}

fn run_until_down() -> Result<()> {
    let doing = "running the lab";
    let directory = Directory::find()?;
    let Some(_lock) = directory.lock()? else {
        return Err(Error::new(doing, "it is already running; `down` stops it"));
    };
    // Detaches from the terminal and its signals. Fails if the process leads a group already, which
    // has the same effect.
    let _ = setsid();
    // Left by a keeper that was killed: the lock above shows that none runs.
    let _ = fs::remove_file(directory.socket());
    // Bound before `isolate` covers /run, which may contain the socket.
    let listener =
        UnixListener::bind(directory.socket()).map_err(|error| Error::new(doing, error))?;
    isolate()?;
    let fixture = Fixture::new(&[VI_1, VI_2])?;
    let mut lab = Lab {
        backup: Machine::new(&fixture, Role::Backup),
        master: Machine::new(&fixture, Role::Master),
        fixture: &fixture,
    };
    lab.backup.start_services()?;
    lab.master.start_services()?;
    for instance in fixture.instances {
        if let Some(daemon) = lab.master.daemon() {
            daemon.wait_for_state(instance.name, State::Master, PATIENCE)?;
        }
    }
    let _ = writeln!(
        io::stdout(),
        "{READY} master (192.168.224.11, 192.168.198.11), backup (.12), client (.1)"
    );
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if lab.answer(stream).is_ok_and(|done| done) {
            break;
        }
    }
    Ok(())
}

/// The hosts and their services.
struct Lab<'h> {
    fixture: &'h Fixture,
    master: Machine<'h>,
    backup: Machine<'h>,
}

impl<'h> Lab<'h> {
    /// Answers one request. Returns whether the lab is to stop.
    fn answer(&mut self, stream: UnixStream) -> io::Result<bool> {
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line)?;
        let words: Vec<String> = serde_json::from_str(&line).unwrap_or_default();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let down = words == [DOWN];
        let reply = match self.handle(&words) {
            Ok(reply) => reply,
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(reader.get_mut(), "{reply}")?;
        Ok(down)
    }

    fn handle(&mut self, words: &[&str]) -> Result<Value> {
        match words {
            [DOWN] => {}
            [ENTER, name] => {
                let host = self.host(name)?;
                let pid = host.init_pid().ok_or_else(|| {
                    Error::new(
                        format!("entering {name}"),
                        format!("the host is off; `power {name} on` switches it on"),
                    )
                })?;
                return Ok(json!({ "pid": pid, "path": search_path()? }));
            }
            [LOG, name] => {
                let lines = self.machine(name)?.log(Moment::default());
                let log: Vec<_> = lines.into_iter().map(|line| line.text).collect();
                return Ok(json!({ "log": log.join("\n") }));
            }
            [POWER, name, "off"] => self.machine(name)?.power_off()?,
            [POWER, name, "on"] => {
                let machine = self.machine(name)?;
                if !machine.host.is_on() {
                    machine.power_on()?;
                }
            }
            [CABLE, name, interface, plug @ ("pull" | "plug")] => {
                self.host(name)?;
                let cable = self.fixture.cable(name, interface).ok_or_else(|| {
                    let networks = self
                        .fixture
                        .instances
                        .iter()
                        .map(|instance| instance.interface);
                    Error::new(
                        format!("looking for {interface} on {name}"),
                        format!(
                            "its interfaces are {}",
                            networks.collect::<Vec<_>>().join(" and ")
                        ),
                    )
                })?;
                if *plug == "pull" {
                    cable.pull()?;
                } else {
                    cable.plug()?;
                }
            }
            _ => {
                return Err(Error::new(
                    "handling a request",
                    format!("unknown request {words:?}"),
                ));
            }
        }
        Ok(json!({}))
    }

    fn machine(&mut self, name: &str) -> Result<&mut Machine<'h>> {
        match name {
            "master" => Ok(&mut self.master),
            "backup" => Ok(&mut self.backup),
            CLIENT => Err(Error::new(
                "handling the request for the client",
                "it is possible for master and backup only",
            )),
            _ => Err(unknown(name)),
        }
    }

    fn host(&self, name: &str) -> Result<&Host> {
        match name {
            "master" => Ok(&self.fixture.master),
            "backup" => Ok(&self.fixture.backup),
            CLIENT => Ok(&self.fixture.client),
            _ => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::new(
        format!("looking for the host {name}"),
        "the hosts are master, backup and client",
    )
}

/// Search path with the directories of `vrrpd` and `vrrp-lab`.
fn search_path() -> Result<String> {
    let (this, vrrpd) = (exe()?, vrrpd_program()?);
    let mut directories: Vec<_> = [vrrpd, &this]
        .into_iter()
        .filter_map(Path::parent)
        .map(|directory| directory.display().to_string())
        .collect();
    directories.dedup();
    Ok(directories.join(":"))
}
