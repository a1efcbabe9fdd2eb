//! The machine as a node needs it: its kernel, its network, its log.

use std::fmt;
use std::io;
use std::net::IpAddr;

use vrrp_proto::{
    Advertisement, DesiredLvs, Engine, Input, Instant, InterfaceIndex, MacAddress, Output, Report,
};

use crate::device::DeviceChange;
use crate::drop_rules::DropRule;
use crate::listeners::Listeners;
use crate::mirror::{Dump, Mirror};
use crate::plan::{Change, Failure};
use crate::routing;

/// The kernel, as it is asked for something. What is refused is taken back in the mirrors.
pub trait Kernel {
    /// The reason for which packets cannot be refused, in words.
    type DropFilterError: fmt::Display;

    /// All links and addresses.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or changes all the time.
    fn dump(&mut self) -> io::Result<Dump>;

    /// Carries out `changes` of addresses in their order. `mirror` shows them already. Those that are
    /// refused are taken back there and appended to `failures`; the others are done nevertheless. That
    /// something is so already is no failure.
    fn change_addresses(
        &mut self,
        changes: &[Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    );

    /// Carries out `changes` of interfaces with virtual MAC addresses in their order. Calls `failed` for
    /// each that is refused; the others are done nevertheless.
    ///
    /// # Errors
    ///
    /// When nothing can be asked for, and nothing was done.
    fn change_devices(
        &mut self,
        changes: &[DeviceChange],
        failed: &mut dyn FnMut(&DeviceChange, io::Error),
    ) -> io::Result<()>;

    /// Begins to hear what others do to our routes and rules.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    fn open_routing(&mut self) -> io::Result<()>;

    /// All routes and rules that bear our mark, once they are heard of.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or changes all the time.
    fn dump_routing(&mut self) -> io::Result<routing::mirror::Dump>;

    /// As [`change_addresses`](Self::change_addresses), for routes and rules.
    fn change_routing<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c routing::plan::Change>,
        mirror: &mut routing::mirror::Mirror,
        failures: &mut Vec<routing::plan::Failure>,
    );

    /// Hears no longer of routes and rules.
    fn close_routing(&mut self);

    /// Begins to hear what others do to the table by which packets are refused.
    ///
    /// # Errors
    ///
    /// When the process may open no more files, or the kernel has no nf_tables.
    fn open_drop_rules(&mut self) -> Result<(), Self::DropFilterError>;

    /// Changes that table: all of it is done, or nothing.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    fn change_drop_rules(&mut self, change: &Transaction<'_>) -> Result<(), Self::DropFilterError>;

    /// Deletes that table, also one that an earlier daemon left, and hears no longer of it. Returns
    /// whether there was one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; that it has no nf_tables is no error.
    fn delete_drop_rules(&mut self) -> Result<bool, Self::DropFilterError>;
}

/// A change of the table by which packets are refused.
#[derive(Clone, Copy, Debug)]
pub enum Transaction<'a> {
    /// The table is made anew with these.
    Replace(&'a [DropRule]),
    /// These are added.
    Add(&'a [DropRule]),
    /// These are taken away.
    Remove(&'a [DropRule]),
}

/// The level of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is not as it should be.
    Error,
    /// Something that an operator should know of.
    Warning,
}

/// The machine: its kernel, its network, its log.
pub trait Host {
    /// Its kernel.
    type Kernel: Kernel;

    /// Its kernel.
    fn kernel(&mut self) -> &mut Self::Kernel;

    /// Listens where `listeners` says, beside where it listened before: a router that leaves an interface
    /// still sends its resignation there. Returns whether all of it was possible.
    fn listen(&mut self, listeners: &Listeners, mirror: &Mirror) -> bool;

    /// Listens nowhere but where `listeners` says.
    fn listen_only(&mut self, listeners: &Listeners);

    /// Queues an advertisement.
    fn advertise(&mut self, advertisement: Advertisement);

    /// Queues an announcement of an address: a gratuitous ARP, or an unsolicited neighbour
    /// advertisement.
    fn announce(&mut self, interface: InterfaceIndex, mac: MacAddress, address: IpAddr);

    /// Sends what is queued.
    fn flush(&mut self, mirror: &Mirror);

    /// Defers changes of interfaces, for which the kernel takes its time, to another thread.
    ///
    /// # Errors
    ///
    /// When there is no such thread.
    fn defer_devices(&mut self, changes: Vec<DeviceChange>) -> io::Result<()>;

    /// Leaves out what was deferred and is not done yet of the interfaces whose names are `which`.
    fn recall_devices(&mut self, which: &dyn Fn(&str) -> bool);

    /// Has the sync thread of IPVS made as it should be, in a while.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    fn synchronise(&mut self, desired: DesiredLvs) -> io::Result<()>;

    /// Tells of something that has become of the routers, when it has been carried out.
    fn report(&mut self, report: Report);

    /// Tells of something that tends to come again: the same is not repeated for a while.
    fn complain(&mut self, severity: Severity, text: String);

    /// Tells of something.
    fn note(&mut self, text: String);

    /// Called with each input before the engine takes it in. For the simulation.
    fn before(&mut self, _now: Instant, _input: &Input<'_>, _engine: &Engine) {}

    /// Called with the outputs of that input.
    fn after(&mut self, _outputs: &[Output], _engine: &Engine, _mirror: &Mirror) {}
}
