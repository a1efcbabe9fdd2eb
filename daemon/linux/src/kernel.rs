//! The kernel interface of a node, with one socket for each kind of request.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use vrrp_node::change::{Change, Failure};
use vrrp_node::device::DeviceChange;
use vrrp_node::host::{self, OwnSources, RepairedSetting, Transaction};
use vrrp_node::mirror::{Dump, Mirror};
use vrrp_node::routing;
use vrrp_proto::InterfaceIndex;

use crate::device::Devices;
use crate::drop_filter::{DropFilterError, Table, delete_table};
use crate::poller::Poller;
use crate::request::Requests;
use crate::routing::Routing;

/// The kernel of a network namespace. Each socket is opened at its first use.
#[derive(Debug)]
pub struct Kernel {
    requests: Requests,
    devices: Option<Devices>,
    routing: Option<Routing>,
    table: Option<Table>,
    watch: Option<Watch>,
}

/// The poller that waits for notifications, and the tokens of the sockets.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The poller.
    pub poller: Rc<Poller>,
    /// The token for [`Kernel::take_routing_news`].
    pub routing: u64,
    /// The token for [`Kernel::take_drop_filter_news`].
    pub drop_rules: u64,
}

impl Kernel {
    /// A kernel without notifications, for a single run such as `vrrpd cleanup`.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            requests: Requests::open()?,
            devices: None,
            routing: None,
            table: None,
            watch: None,
        })
    }

    /// A kernel that wakes the poller of `watch` with its notifications.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn watched(watch: Watch) -> io::Result<Self> {
        let watch = Some(watch);
        Ok(Self {
            watch,
            ..Self::open()?
        })
    }

    /// Netlink port ID of the socket that changes addresses.
    pub const fn port(&self) -> u32 {
        self.requests.port()
    }

    /// Whether another program has changed routes or rules of this daemon since the last call.
    ///
    /// # Errors
    ///
    /// Fails only if the socket is invalid.
    pub fn take_routing_news(&mut self) -> io::Result<bool> {
        self.routing.as_mut().map_or(Ok(false), Routing::take_news)
    }

    /// Whether another program has changed the table of drop rules since the last call. Also `true`
    /// when notifications were lost.
    ///
    /// # Errors
    ///
    /// Fails only if the socket is invalid.
    pub fn take_drop_filter_news(&mut self) -> io::Result<bool> {
        self.table.as_mut().map_or(Ok(false), Table::was_touched)
    }

    fn devices(&mut self) -> io::Result<&mut Devices> {
        Ok(match &mut self.devices {
            Some(devices) => devices,
            closed => closed.insert(Devices::open()?),
        })
    }

    fn wait_for(&self, fd: BorrowedFd<'_>, token: impl Fn(&Watch) -> u64) -> io::Result<()> {
        match &self.watch {
            Some(watch) => watch.poller.add(fd, token(watch)),
            None => Ok(()),
        }
    }
}

impl host::Kernel for Kernel {
    type DropFilterError = DropFilterError;

    fn dump(&mut self) -> io::Result<Dump> {
        self.requests.dump()
    }

    fn dump_interface(&mut self, interface: InterfaceIndex) -> io::Result<Dump> {
        self.requests.dump_interface(interface)
    }

    fn change_addresses(
        &mut self,
        changes: &[Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) {
        self.requests.apply(changes, mirror, failures);
    }

    fn limit_lifetimes(&mut self, additions: &[Change], seconds: Option<u32>) -> io::Result<()> {
        self.requests.limit_lifetimes(additions, seconds)
    }

    fn promote_secondaries(
        &mut self,
        interface: InterfaceIndex,
        promotes: bool,
    ) -> io::Result<bool> {
        self.devices()?.promote_secondaries(interface, promotes)
    }

    fn change_devices(
        &mut self,
        changes: &[DeviceChange],
        failed: &mut dyn FnMut(&DeviceChange, io::Error),
    ) -> io::Result<()> {
        self.devices()?.apply(changes, failed);
        Ok(())
    }

    fn accept_own_sources(&mut self, on: &BTreeSet<InterfaceIndex>) -> io::Result<OwnSources> {
        self.devices()?.accept_own_sources(on)
    }

    fn repair_device_settings(&mut self) -> io::Result<Vec<RepairedSetting>> {
        self.devices()?.repair_settings()
    }

    fn open_routing(&mut self) -> io::Result<()> {
        if self.routing.is_none() {
            let routing = Routing::open()?;
            self.wait_for(routing.as_fd(), |watch| watch.routing)?;
            self.routing = Some(routing);
        }
        Ok(())
    }

    fn dump_routing(&mut self) -> io::Result<routing::mirror::Dump> {
        match &mut self.routing {
            Some(routing) => routing.dump(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn change_routing<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c routing::change::Change>,
        mirror: &mut routing::mirror::Mirror,
        failures: &mut Vec<routing::change::Failure>,
    ) {
        if let Some(routing) = &mut self.routing {
            routing.apply(changes, mirror, failures);
        }
    }

    fn close_routing(&mut self) {
        // Closing the descriptor also removes it from the poller (epoll(7)).
        self.routing = None;
    }

    fn open_drop_rules(&mut self) -> Result<(), DropFilterError> {
        if self.table.is_none() {
            let table = Table::open()?;
            self.wait_for(table.as_fd(), |watch| watch.drop_rules)?;
            self.table = Some(table);
        }
        Ok(())
    }

    fn change_drop_rules(&mut self, change: &Transaction<'_>) -> Result<(), DropFilterError> {
        match &mut self.table {
            Some(table) => Ok(table.change(change)?),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    fn delete_drop_rules(&mut self) -> Result<bool, DropFilterError> {
        // Another socket deletes the table, so the open one would report the deletion as a foreign
        // change.
        self.table = None;
        Ok(delete_table()?)
    }
}
