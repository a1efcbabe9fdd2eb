//! Load that keeps every core busy, at normal priority.

use std::process::Command;
use std::thread::available_parallelism;

use vrrp_lab::{Host, Process, Result};

/// One busy process per core, until dropped.
#[derive(Debug)]
pub(crate) struct Load {
    _processes: Vec<Process>,
    /// Host of the processes: they are killed with the lab, however the lab ends.
    _host: Host,
}

impl Load {
    pub(crate) fn start() -> Result<Self> {
        let host = Host::new("busy")?;
        let cores = available_parallelism().map_or(2, usize::from);
        let spin = || {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "while :; do :; done"]);
            host.spawn(command)
        };
        Ok(Self {
            _processes: (0..cores).map(|_| spin()).collect::<Result<_>>()?,
            _host: host,
        })
    }
}
