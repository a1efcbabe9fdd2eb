//! The process that keeps the lab standing.
//!
//! The hosts are those of experiment 2, which has all of experiment 1: two networks, an address on
//! each. It does one thing after the other on one thread; nothing that is asked of it takes long.

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
use crate::experiments::{CLIENT, Fixture, Machine, PATIENCE, VI_1, VI_2, Who};

/// The hidden subcommand that is the keeper.
pub(crate) const KEEPER: &str = "__keeper";

/// How the keeper's only line of output begins.
pub(crate) const READY: &str = "ready";
pub(crate) const FAILED: &str = "failed";

/// Keeps a lab until told to take it down. Says in one line whether it stands.
pub(crate) fn run() -> Result<()> {
    let outcome = stand();
    if let Err(error) = &outcome {
        // Whoever started it waits for this line; nobody reads the others.
        let text = error.to_string().replace('\n', " ");
        let _ = writeln!(io::stdout(), "{FAILED} {text}");
    }
    outcome
}

fn stand() -> Result<()> {
    let doing = "keeping the lab";
    let place = Directory::find()?;
    let Some(_lock) = place.lock()? else {
        return Err(Error::new(doing, "it stands already; `down` takes it down"));
    };
    // From here on the terminal's signals are for others. Fails for a leader, which is as good.
    let _ = setsid();
    let _ = fs::remove_file(place.socket());
    // Before the lab covers /run, where the socket may be.
    let listener = UnixListener::bind(place.socket()).map_err(|error| Error::new(doing, error))?;
    isolate()?;
    let fixture = Fixture::new(&[VI_1, VI_2])?;
    let mut lab = Lab {
        backup: Machine::new(&fixture, Who::Backup),
        master: Machine::new(&fixture, Who::Master),
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

/// The hosts and what runs on them.
struct Lab<'h> {
    fixture: &'h Fixture,
    master: Machine<'h>,
    backup: Machine<'h>,
}

impl<'h> Lab<'h> {
    /// Answers one client. Whether the lab is to be taken down.
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
                        "it is off: `power` switches it on",
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
                        format!("it has {}", networks.collect::<Vec<_>>().join(" and ")),
                    )
                })?;
                if *plug == "pull" {
                    cable.pull()?;
                } else {
                    cable.plug()?;
                }
            }
            _ => return Err(Error::new("reading the request", format!("{words:?}"))),
        }
        Ok(json!({}))
    }

    fn machine(&mut self, name: &str) -> Result<&mut Machine<'h>> {
        match name {
            "master" => Ok(&mut self.master),
            "backup" => Ok(&mut self.backup),
            CLIENT => Err(Error::new(
                "asking this of the client",
                "only master and backup can do it",
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
        "there are master, backup and client",
    )
}

/// Where `vrrpd` and `vrrp-lab` are.
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
