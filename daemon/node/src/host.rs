//! Traits for the machine that a node runs on: its kernel, its network, its log.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;

use vrrp_proto::wire::Advert;
use vrrp_proto::{
    Advertisement, DesiredLvs, Engine, Input, Instant, InterfaceIndex, MacAddress, Output, Report,
    Solicitation, Vrid,
};

use crate::change::{Change, Failure};
use crate::device::DeviceChange;
use crate::drop_rules::DropRule;
use crate::listeners::{Defended, Listeners, Path, Watched};
use crate::mirror::{Dump, Extent, Mirror};
use crate::routing;

/// Maximum number of dumps at a start and at a cleanup.
const FIRST_DUMP_ATTEMPTS: u8 = 10;

/// Requests to the kernel. An implementation reverts rejected changes in the mirrors.
pub trait Kernel {
    /// Reason why the drop filter's table cannot be changed, as text.
    type DropFilterError: fmt::Display;

    /// Reads all links and addresses, in one attempt.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request.
    fn dump(&mut self) -> io::Result<Dump>;

    /// Reads one interface and its addresses. The dump has no link if the interface does not exist.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request, or its state changes during every attempt.
    fn dump_interface(&mut self, interface: InterfaceIndex) -> io::Result<Dump>;

    /// Reads all links and addresses, if necessary in several attempts: what an [interrupted] dump does not
    /// contain is unknown. For a start and a cleanup, when no advertisement waits.
    ///
    /// [interrupted]: Extent::Interrupted
    ///
    /// # Errors
    ///
    /// As [`dump`](Self::dump).
    fn dump_first(&mut self) -> io::Result<Dump> {
        for _ in 1..FIRST_DUMP_ATTEMPTS {
            let dump = self.dump()?;
            if dump.extent != Extent::Interrupted {
                return Ok(dump);
            }
        }
        self.dump()
    }

    /// Carries out `changes` of addresses in their order. `mirror` shows them already. A change that the
    /// kernel rejects is reverted in the mirror and appended to `failures`; the remaining changes are
    /// carried out nevertheless. An address that is already present, or already deleted, is no failure.
    fn change_addresses(
        &mut self,
        changes: &[Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    );

    /// Limits the lifetime of addresses that an interface holds, given as their `additions`: the kernel
    /// deletes them by itself after `seconds`, or up to a second later. `None` gives them the lifetime of
    /// their form again. They are not announced, and the interface holds them all the time.
    ///
    /// # Errors
    ///
    /// The first error of the kernel. The other requests are carried out nevertheless.
    fn limit_lifetimes(&mut self, additions: &[Change], seconds: Option<u32>) -> io::Result<()>;

    /// Sets whether the kernel promotes a secondary IPv4 address of an interface when the primary one of
    /// its network is deleted (`promote_secondaries` of ip-sysctl); otherwise it deletes all secondary ones
    /// as well. Returns whether that changed the setting; nothing to change on an interface that does not
    /// exist.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request.
    fn promote_secondaries(
        &mut self,
        interface: InterfaceIndex,
        promotes: bool,
    ) -> io::Result<bool>;

    /// Carries out `changes` of interfaces with virtual MAC addresses in their order. Calls `failed` for
    /// each one that the kernel rejects; the remaining changes are carried out nevertheless.
    ///
    /// # Errors
    ///
    /// When no request can be sent to the kernel. Then nothing was changed.
    fn change_devices(
        &mut self,
        changes: &[DeviceChange],
        failed: &mut dyn FnMut(&DeviceChange, io::Error),
    ) -> io::Result<()>;

    /// Makes the kernel deliver IPv4 packets that arrive on the interfaces `on` with an address of this
    /// host as source (`accept_local` of ip-sysctl), and restores the former setting on all other
    /// interfaces on which a daemon changed it, even an earlier one. Repeating it changes nothing, and
    /// repairs what another program changed. An interface that does not exist is left out.
    ///
    /// # Errors
    ///
    /// When the kernel rejects a request. The remaining interfaces are changed nevertheless.
    fn accept_own_sources(&mut self, on: &BTreeSet<InterfaceIndex>) -> io::Result<OwnSources>;

    /// Sets the IPv4 settings (ip-sysctl) of the daemon's interfaces with virtual MAC addresses and of
    /// their parents again where another program changed them. Returns what was changed.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request.
    fn repair_device_settings(&mut self) -> io::Result<Vec<RepairedSetting>>;

    /// Subscribes to changes of the daemon's routes and rules by other programs.
    ///
    /// # Errors
    ///
    /// When the process has reached its limit of open files.
    fn open_routing(&mut self) -> io::Result<()>;

    /// Reads all routes and rules that bear the daemon's mark. To be called after
    /// [`open_routing`](Self::open_routing).
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request, or its state changes during every attempt.
    fn dump_routing(&mut self) -> io::Result<routing::mirror::Dump>;

    /// Carries out `changes` of routes and rules, as [`change_addresses`](Self::change_addresses) does for
    /// addresses.
    fn change_routing<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c routing::change::Change>,
        mirror: &mut routing::mirror::Mirror,
        failures: &mut Vec<routing::change::Failure>,
    );

    /// Ends the subscription to routes and rules.
    fn close_routing(&mut self);

    /// Subscribes to changes of the drop filter's table by other programs.
    ///
    /// # Errors
    ///
    /// When the process has reached its limit of open files, or the kernel has no nf_tables.
    fn open_drop_rules(&mut self) -> Result<(), Self::DropFilterError>;

    /// Changes the drop filter's table in one transaction: completely or not.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the transaction.
    fn change_drop_rules(&mut self, change: &Transaction<'_>) -> Result<(), Self::DropFilterError>;

    /// Deletes the drop filter's table, even if an earlier daemon left it, and ends the subscription.
    /// Returns whether the table existed.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the request. A kernel without nf_tables is no error.
    fn delete_drop_rules(&mut self) -> Result<bool, Self::DropFilterError>;
}

/// A setting of an interface that another program changed, see [`Kernel::repair_device_settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairedSetting {
    /// The interface.
    pub interface: InterfaceIndex,
    /// Name of the setting in ip-sysctl, such as `arp_ignore`.
    pub name: &'static str,
    /// Value to which the other program set it.
    pub was: u32,
    /// Value that it has again.
    pub is: u32,
}

/// Result of [`Kernel::accept_own_sources`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSources {
    /// Interfaces on which another program had changed the setting.
    pub repaired: Vec<InterfaceIndex>,
    /// Interfaces on which the former setting is in force again.
    pub restored: Vec<InterfaceIndex>,
}

/// Change of the drop filter's table.
#[derive(Clone, Copy, Debug)]
pub enum Transaction<'a> {
    /// Recreates the table with these rules.
    Replace(&'a [DropRule]),
    /// Adds these rules.
    Add(&'a [DropRule]),
    /// Removes these rules.
    Remove(&'a [DropRule]),
}

/// Packet that arrived at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedPacket {
    /// Time of arrival.
    pub at: Instant,
    /// The interface.
    pub interface: InterfaceIndex,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The VRRP message.
    pub payload: Box<[u8]>,
}

/// Advertisement that the kernel rejected.
#[derive(Debug)]
pub struct RejectedAdvert {
    /// Outgoing interface.
    pub interface: InterfaceIndex,
    /// Source address.
    pub source: IpAddr,
    /// VRID of the router.
    pub vrid: Vrid,
    /// The kernel's error.
    pub error: io::Error,
}

impl RejectedAdvert {
    /// Returns the record for a rejected `message`; `None` if it has no VRID.
    pub fn of(
        interface: InterfaceIndex,
        source: IpAddr,
        message: &[u8],
        error: io::Error,
    ) -> Option<Self> {
        let vrid = Advert::peek_vrid(message)?;
        Some(Self {
            interface,
            source,
            vrid,
            error,
        })
    }
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A failure.
    Error,
    /// A condition that the operator should know.
    Warning,
}

/// Machine that a node runs on: kernel, network and log.
pub trait Host {
    /// Implementation of the requests to the kernel.
    type Kernel: Kernel;

    /// Kernel of this machine.
    fn kernel(&mut self) -> &mut Self::Kernel;

    /// Opens sockets for the endpoints in `listeners` and keeps those that are open: a router that leaves
    /// an interface still sends its final advertisement there. Returns those that cannot be opened, and the
    /// reasons.
    fn listen(&mut self, listeners: &Listeners) -> Vec<(Path, io::Error)>;

    /// Closes the sockets of endpoints that are not in `listeners`.
    fn listen_only(&mut self, listeners: &Listeners);

    /// Records the packets of protocol 112 that arrive at these interfaces for these VRIDs, whether or not
    /// this host drops them before its sockets, and ends the records of all other interfaces. Without
    /// permission for that nothing is recorded.
    fn watch(&mut self, watched: &Watched, mirror: &Mirror);

    /// Appends the recorded packets, in the order of their arrival at each interface, and forgets them.
    fn witnessed(&mut self, packets: &mut Vec<WitnessedPacket>);

    /// Listens for hosts that claim these addresses from now on, and for no others: [`AddressConflict`]. It
    /// may begin a moment later, on another thread.
    ///
    /// [`AddressConflict`]: Input::AddressConflict
    ///
    /// # Errors
    ///
    /// When that thread cannot be started.
    fn defend(&mut self, addresses: &Defended) -> io::Result<()>;

    /// Queues an advertisement.
    fn advertise(&mut self, advertisement: Advertisement);

    /// Queues an announcement of an address: a gratuitous ARP or an unsolicited neighbour advertisement.
    fn announce(&mut self, interface: InterfaceIndex, mac: MacAddress, address: IpAddr);

    /// Queues a request for the hardware address of a unicast peer.
    fn solicit(&mut self, solicitation: Solicitation);

    /// Sends all queued packets. Appends the advertisements that the kernel rejects to `rejected`.
    fn flush(&mut self, mirror: &Mirror, rejected: &mut Vec<RejectedAdvert>);

    /// Hands changes of interfaces to another thread, because the kernel takes long for them.
    ///
    /// # Errors
    ///
    /// When that thread cannot be started.
    fn defer_devices(&mut self, changes: Vec<DeviceChange>) -> io::Result<()>;

    /// Cancels deferred changes that are not done yet, of the interfaces with names for which `which`
    /// returns true.
    fn recall_devices(&mut self, which: &dyn Fn(&str) -> bool);

    /// Hands over the desired state of the IPVS sync daemon. Another thread applies it.
    ///
    /// # Errors
    ///
    /// When that thread cannot be started.
    fn synchronise(&mut self, desired: DesiredLvs) -> io::Result<()>;

    /// Publishes a report of the engine after its outputs have been carried out.
    fn report(&mut self, report: Report);

    /// Logs a condition that tends to recur. The same text is not repeated for a while.
    fn complain(&mut self, severity: Severity, text: String);

    /// Logs an event.
    fn note(&mut self, text: String);

    /// Hook for the simulation, called with each input before the engine handles it.
    fn before(&mut self, _now: Instant, _input: &Input<'_>, _engine: &Engine) {}

    /// Hook for the simulation, called with the outputs of that input.
    fn after(&mut self, _outputs: &[Output], _engine: &Engine, _mirror: &Mirror) {}
}
