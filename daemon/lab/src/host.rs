//! Hosts: computers with a name, network cards, a power switch and processes.
//!
//! A reboot keeps the namespaces for network, mounts and hostname, and with them the network cards
//! and the `disks`. It ends the processes and removes the contents of /run and every added address:
//! these belong to a [`Boot`].

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::boot::Boot;
use crate::cable::Cable;
use crate::capture::{Capture, Filter};
use crate::client::Client;
use crate::echo::Echo;
use crate::error::{Doing, Error, Result};
use crate::flood::Flood;
use crate::journal::lock;
use crate::namespace::Namespaces;
use crate::netlink::Netlink;
use crate::process::{Process, wait_with_output};
use crate::watch::AddressWatch;

/// A computer of the lab. It is powered on when created; dropping it deletes all of it.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespaces: Arc<Namespaces>,
    netlink: Netlink,
    cables: Mutex<Vec<Cable>>,
    boot: Mutex<Option<Boot>>,
}

impl Host {
    /// Creates a host, powered on, with `lo` and no network card.
    ///
    /// # Errors
    /// If the kernel rejects a request, for example because [`crate::isolate()`] was not called.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_disks(name, &[])
    }

    /// As [`Host::new`], with the directories `disks` private to the host and writable, for example
    /// `/usr/local` for check scripts. They start with the machine's contents and survive reboots.
    /// (`/run` is always private, and empty at each boot.)
    ///
    /// # Errors
    /// If the kernel rejects a request, or a directory does not exist.
    pub fn with_disks(name: &str, disks: &[&str]) -> Result<Self> {
        let namespaces = Arc::new(Namespaces::create(name, disks)?);
        let netlink = Netlink::open(&namespaces)?;
        netlink.set_up(netlink.index_of("lo")?, true)?;
        let boot = Boot::start(name, &namespaces)?;
        Ok(Self {
            name: name.to_owned(),
            namespaces,
            netlink,
            cables: Mutex::new(Vec::new()),
            boot: Mutex::new(Some(boot)),
        })
    }

    /// Switches the power off: kills every process at once and sets all links down.
    ///
    /// # Errors
    /// If a link cannot be set down.
    pub fn power_off(&self) -> Result<()> {
        let boot = lock(&self.boot).take();
        if let Some(boot) = &boot {
            boot.kill();
        }
        let cables = lock(&self.cables).clone();
        for cable in &cables {
            cable.set_power(false)?;
        }
        // Waits until the last process has ended: a daemon that still runs would add its addresses
        // again.
        drop(boot);
        // A host without power holds no address; address watches must record that now, not at the
        // next boot.
        for (index, name) in self.netlink.links()? {
            if name != "lo" {
                self.netlink.flush(index)?;
            }
        }
        Ok(())
    }

    /// Switches the power on: a new boot with an empty /run, the configured addresses, and no
    /// interfaces except `lo` and the network cards. Does nothing if the power is on.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn power_on(&self) -> Result<()> {
        let mut boot = lock(&self.boot);
        if boot.is_some() {
            return Ok(());
        }
        let cables = lock(&self.cables).clone();
        let ours =
            |name: &str| name == "lo" || cables.iter().any(|cable| cable.interface() == name);
        for (index, name) in self.netlink.links()? {
            if !ours(&name) {
                // Ignored: some were deleted together with another link, and some (tunnel fallback
                // devices) cannot be deleted.
                let _ = self.netlink.delete_link(index);
            }
        }
        for cable in &cables {
            cable.configure(&self.netlink)?;
        }
        *boot = Some(Boot::start(&self.name, &self.namespaces)?);
        for cable in &cables {
            cable.set_power(true)?;
        }
        Ok(())
    }

    /// Shuts the host down cleanly: sends SIGTERM to every process, kills those that still run
    /// after `patience`, and switches the power off. The network is up until the last process has
    /// ended.
    ///
    /// # Errors
    /// As [`Host::power_off`].
    pub fn shut_down(&self, patience: Duration) -> Result<()> {
        if let Some(boot) = &*lock(&self.boot) {
            boot.terminate(patience);
        }
        self.power_off()
    }

    /// Starts a program as a process of this boot, with `/` as working directory. It inherits the
    /// environment unless the command sets another; [`Process`] records its output.
    ///
    /// # Errors
    /// If the host is off or the program cannot be started.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        let program = Path::new(command.get_program()).file_name();
        let program = program.unwrap_or_default().to_string_lossy().into_owned();
        self.spawn_as(&program, command)
    }

    /// As [`Host::spawn`], where `program` is the name of the program in messages.
    pub(crate) fn spawn_as(&self, program: &str, command: Command) -> Result<Process> {
        Process::start(program, command, &self.name, |command| self.start(command))
    }

    /// Runs a short command and returns its output, for any exit status.
    ///
    /// # Errors
    /// If the host is off or the program cannot be started.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        let (program, arguments) = command
            .split_first()
            .ok_or("the command is empty")
            .doing(format!("running a command on {}", self.name))?;
        let mut command = Command::new(program);
        command.args(arguments);
        wait_with_output(command, |command| self.start(command))
    }

    /// Runs a shell script that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// As [`Host::exec`], and if the exit status is not 0; the error contains the standard error.
    pub fn shell(&self, script: &str) -> Result<String> {
        let output = self.exec(&["/bin/sh", "-c", script])?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::new(
            format!("running `{script}` on {}", self.name),
            format!("{}: {}", output.status, stderr.trim()),
        ))
    }

    /// Writes a file on the host, with `mode` such as `0o755`, and creates its directories. The
    /// path must be on /run or one of the host's `disks`; any other path is the machine's own file
    /// system.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let (path, contents) = (path.as_ref(), contents.as_ref());
        let write = || {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            std::fs::write(path, contents)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        self.run(write)
            .doing(format!("writing {} on {}", path.display(), self.name))
    }

    /// Runs `job` on a thread inside the host (network, mounts, hostname) and waits for it, for
    /// example to open sockets: they stay in the host's namespace wherever they are used. The
    /// thread is no process of the host: `power_off` does not end it.
    ///
    /// # Panics
    /// If `job` panics, or if the host's namespaces cannot be entered, which would be a bug of the
    /// lab.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        match self.inside().run(job) {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// As [`Host::run`], without waiting.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let inside = self.inside();
        thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || {
                inside.enter()?;
                Ok(job())
            })
            .doing(format!("starting a thread on {}", self.name))
    }

    /// Addresses of an interface, with their prefix lengths.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn addresses(&self, interface: &str) -> Result<Vec<(IpAddr, u8)>> {
        let index = self.netlink.index_of(interface)?;
        let addresses = self.netlink.addresses(Some(index))?;
        Ok(addresses
            .into_iter()
            .map(|(_, address, prefix)| (address, prefix))
            .collect())
    }

    /// Whether any interface has `address`.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn holds(&self, address: IpAddr) -> Result<bool> {
        Ok(self
            .netlink
            .addresses(None)?
            .iter()
            .any(|(_, held, _)| *held == address))
    }

    /// Adds an address, as an administrator would by hand.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn add_address(&self, interface: &str, address: IpAddr, prefix: u8) -> Result<()> {
        self.netlink
            .add_address(self.netlink.index_of(interface)?, address, prefix)
    }

    /// Deletes an address, as an administrator would by hand.
    ///
    /// # Errors
    /// If the interface does not have it.
    pub fn delete_address(&self, interface: &str, address: IpAddr) -> Result<()> {
        self.netlink
            .delete_address(self.netlink.index_of(interface)?, address)
    }

    /// Sets an interface up or down from inside the host, as `ip link set` does.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<()> {
        self.netlink.set_up(self.netlink.index_of(interface)?, up)
    }

    /// Whether an interface is up and has a carrier.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn is_running(&self, interface: &str) -> Result<bool> {
        self.netlink.is_running(interface)
    }

    /// Creates a macvlan on `parent` with the MAC address `mac`, in mode bridge and up, as FRR
    /// requires it: with `protodown` set, which zebra clears when the virtual router becomes
    /// master, and without an automatic IPv6 link-local address. It is deleted at the next boot.
    ///
    /// # Errors
    /// If the kernel rejects a request, for example because the name exists.
    pub fn add_macvlan(&self, name: &str, parent: &str, mac: [u8; 6]) -> Result<()> {
        let parent = self.netlink.index_of(parent)?;
        let index = self.netlink.add_macvlan(name, parent, mac)?;
        self.netlink.set_protodown(index, true)?;
        self.netlink.set_up(index, true)
    }

    /// MAC address of an interface.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn mac(&self, interface: &str) -> Result<[u8; 6]> {
        self.netlink.mac_of(interface)
    }

    /// Adds a stale entry to the host's neighbour table, as the kernel does when a neighbour asks for this
    /// host.
    ///
    /// # Errors
    /// If there is no such interface, or the kernel rejects the request.
    pub fn add_neighbour(&self, interface: &str, address: IpAddr, mac: [u8; 6]) -> Result<()> {
        let index = self.netlink.index_of(interface)?;
        self.netlink.add_neighbour(index, address, mac)
    }

    /// MAC address of a neighbour in the host's neighbour table, if it has an entry.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn neighbour(&self, address: IpAddr) -> Result<Option<[u8; 6]>> {
        self.netlink.neighbour(address)
    }

    /// Records each added or deleted address of any interface, beginning with the present
    /// addresses.
    ///
    /// # Errors
    /// If the netlink socket cannot be opened.
    pub fn watch_addresses(&self) -> Result<AddressWatch> {
        AddressWatch::start(&self.name, &self.namespaces, &self.netlink)
    }

    /// Records the frames that pass a network card of this host, in both directions.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn capture(&self, interface: &str, filter: Filter) -> Result<Capture> {
        Capture::start(
            &self.namespaces,
            self.netlink.index_of(interface)?,
            filter,
            None,
        )
    }

    /// Sends `frames` again and again until the flood is stopped: as fast as one thread can, or
    /// with a pause of `pace` after each 256 frames.
    ///
    /// # Errors
    /// If there is no such interface, or `frames` is empty.
    pub fn flood(
        &self,
        interface: &str,
        frames: Vec<Vec<u8>>,
        pace: Option<Duration>,
    ) -> Result<Flood> {
        let index = self.netlink.index_of(interface)?;
        Flood::start(&self.namespaces, index, frames, pace)
    }

    /// Requests `http://address:80/` every 10 ms from this host, until the client is dropped.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn client(&self, address: IpAddr) -> Result<Client> {
        Client::start(Arc::clone(&self.namespaces), (address, 80).into())
    }

    /// Sends an ICMP echo request to `address` every millisecond from this host, until the client is stopped.
    ///
    /// # Errors
    /// If the socket or the thread cannot be created.
    pub fn echo(&self, address: Ipv4Addr) -> Result<Echo> {
        Echo::start(&self.namespaces, address)
    }

    /// Name of the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        lock(&self.boot).is_some()
    }

    /// PID of the host's init, for `nsenter --target PID --all`; `None` if the power is off.
    pub fn init_pid(&self) -> Option<u32> {
        lock(&self.boot).as_ref().map(Boot::init_pid)
    }

    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    pub(crate) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(crate) fn add_cable(&self, cable: Cable) {
        lock(&self.cables).push(cable);
    }

    /// Namespaces of the current boot, or of the host if the power is off.
    fn inside(&self) -> Arc<Namespaces> {
        lock(&self.boot)
            .as_ref()
            .map_or_else(|| Arc::clone(&self.namespaces), Boot::namespaces)
    }

    fn start(&self, command: Command) -> Result<std::process::Child> {
        match &*lock(&self.boot) {
            Some(boot) => boot.spawn(command),
            None => Err(Error::new(
                format!("starting a program on {}", self.name),
                "the host is off",
            )),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Errors are ignored: the links vanish with the namespace.
        let _ = self.power_off();
    }
}
