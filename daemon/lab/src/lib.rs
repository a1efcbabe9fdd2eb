//! Hosts and networks inside one process, without root, on which VRRP daemons are tested.
//!
//! A [`Host`] is a computer with a power switch: kernel namespaces for its network, mounts,
//! hostname and processes. A [`Segment`] joins hosts as a switch does. Each network card is
//! attached with a [`Cable`], which can be pulled or impaired. All observations are made from
//! inside this process and on one clock ([`Moment`]): output lines ([`Process`]), addresses
//! ([`AddressWatch`]), frames ([`Capture`]) and the answers that a client receives ([`Client`]).
//!
//! ```no_run
//! use std::process::Command;
//! use std::time::Duration;
//! use vrrp_lab::{Filter, Host, Moment, Result, Segment};
//!
//! fn main() -> Result<()> {
//!     vrrp_lab::isolate()?; // before any thread
//!     let lan = Segment::new("lan")?;
//!     let (master, client) = (Host::new("master")?, Host::new("client")?);
//!     let cable = lan.attach(&master, "ens33", "192.168.224.11/24")?;
//!     lan.attach(&client, "ens33", "192.168.224.20/24")?;
//!     let frames = lan.capture(Filter::arp())?;
//!     let mut httpd = Command::new(vrrp_lab::exe()?);
//!     httpd.args(["__httpd", "--name", "master", "--listen", "0.0.0.0:80"]);
//!     let httpd = master.spawn(httpd)?;
//!     httpd.wait_for_line(|line| line.contains("listening"), Duration::from_secs(1))?;
//!     let web = client.client(cable.address())?;
//!     web.wait_for("master", Duration::from_secs(1))?;
//!     let start = Moment::now();
//!     cable.pull()?;
//!     cable.plug()?;
//!     web.wait_for("master", Duration::from_secs(5))?;
//!     println!("outage: {:?}", web.outage(start, Moment::now()));
//!     println!("{} frames of ARP", frames.frames().len());
//!     master.power_off()
//! }
//! ```
//!
//! All calls block until the operation is complete: call them on plain threads, not in async code.
//!
//! Modules, from the outermost:
//!
//! - `isolate` moves the process into new namespaces; `namespace` holds those of one host or
//!   segment as file descriptors, which any thread can enter; `netlink` creates links and addresses
//!   in them.
//! - `host` owns the state that survives a reboot, `boot` the state of one boot, `process` one
//!   program of a boot.
//! - `segment` is the bridge, `cable` a veth pair to it, `relay` the user-space hop of an impaired
//!   cable.
//! - `watch`, `capture`, `client` and `echo` observe, each on a separate thread that writes a [`Journal`].
//! - `flood` sends frames at the highest possible rate.
//! - `httpd` is the web server, `harness` the `main` of test files, `stall_detector` measures
//!   whether the machine schedules the lab in time, `sys` contains the unsafe system calls.
//! - `daemons` runs `vrrpd`, keepalived and FRR on a host; no other module knows VRRP.
//!
//! Deliberately absent: the set-up runs no external program, and no state outlives the process.

mod boot;
mod cable;
mod capture;
mod client;
mod clock;
pub mod daemons;
mod echo;
mod error;
mod flood;
pub mod harness;
mod host;
mod httpd;
mod impairment;
mod isolate;
mod journal;
mod namespace;
mod netlink;
mod process;
mod program;
mod relay;
mod segment;
pub mod stall_detector;
mod switch;
mod sys;
mod watch;

pub use cable::Cable;
pub use capture::{Capture, Filter, Frame};
pub use client::{Ask, Client};
pub use clock::Moment;
pub use echo::{Echo, Echoes};
pub use error::{Error, Result};
pub use flood::{Flood, Sent, ipv4_frame};
pub use host::Host;
pub use impairment::Impairment;
pub use isolate::{dispatch, isolate};
pub use journal::Journal;
pub use nix::sys::signal::Signal;
pub use process::{Line, Process};
pub use program::exe;
pub use segment::Segment;
pub use watch::{AddressEvent, AddressWatch, held_twice};
