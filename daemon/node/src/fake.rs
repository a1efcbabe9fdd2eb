//! Host for tests: its kernel has the interface eth2, follows the rules for primary and secondary addresses
//! and for the routes of a device without addresses, and rejects what a test says.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use vrrp_proto::{
    Advertisement, DesiredLvs, Family, InterfaceAddress, InterfaceIndex, Link, Loss, MacAddress,
    Report,
};

use crate::change::{Change, Failure};
use crate::device::DeviceChange;
use crate::host::{
    Host, Kernel, OwnSources, RejectedAdvert, RepairedSetting, Severity, Transaction,
    WitnessedPacket,
};
use crate::listeners::{Defended, Listeners, Watched};
use crate::mirror::{Dump, Event, Extent, Held, Mirror, is_of_one_network};
use crate::routing;
use crate::routing::change::Installed;

/// The only interface.
pub(crate) const ETH: InterfaceIndex = InterfaceIndex(2);

/// Host with its kernel, and what it was asked for.
#[derive(Debug, Default)]
pub(crate) struct FakeHost {
    pub(crate) held: Vec<(InterfaceIndex, Held)>,
    /// Interfaces with `promote_secondaries` on.
    pub(crate) promoting: BTreeSet<InterfaceIndex>,
    pub(crate) routes: Vec<Installed>,
    /// Whether the drop filter's table exists.
    pub(crate) has_table: bool,
    /// Notifications for the daemon.
    pub(crate) news: Vec<Event>,
    /// Error of each request that turns `promote_secondaries` on.
    pub(crate) rejects_promotion: Option<io::ErrorKind>,
    /// Error of each request that adds an address.
    pub(crate) rejects_additions: Option<io::ErrorKind>,
    /// Error of each request for the lifetime of addresses, and the requests as texts.
    pub(crate) rejects_lifetimes: Option<io::ErrorKind>,
    pub(crate) lifetimes: Vec<String>,
    /// Error of each advertisement.
    pub(crate) rejects_adverts: Option<io::ErrorKind>,
    queued: Vec<Advertisement>,
    pub(crate) rejects_route_dumps: bool,
    pub(crate) rejects_route_deletions: bool,
    /// Whether the kernel's state changes during each complete dump, which lacks the last address then.
    pub(crate) interrupts_dumps: bool,
    pub(crate) rejects_table_deletion: bool,
    /// Settings of interfaces that another program changed.
    pub(crate) changed_settings: Vec<RepairedSetting>,
    /// Requests for addresses and routes, as texts.
    pub(crate) requests: Vec<String>,
    /// Dumps of links and addresses.
    pub(crate) readings: Vec<Extent>,
    /// Log lines and reports.
    pub(crate) log: Vec<String>,
    pub(crate) reports: Vec<Report>,
    /// Addresses of each [`Host::defend`].
    pub(crate) defended: Vec<Defended>,
}

impl FakeHost {
    /// Host with these addresses, in order; "10.0.0.9/24 ours" has the daemon's mark.
    pub(crate) fn with_addresses(texts: &[&str]) -> Self {
        let mut host = Self::default();
        for text in texts {
            let (address, ours) = match text.strip_suffix(" ours") {
                Some(address) => (address, true),
                None => (*text, false),
            };
            host.add(address.parse().unwrap(), ours);
        }
        host
    }

    /// Mirror of this kernel.
    pub(crate) fn mirror(&mut self) -> Mirror {
        let mut mirror = Mirror::new();
        mirror.replace(self.dump().unwrap());
        mirror
    }

    fn all(&self) -> Dump {
        let link = Link {
            index: ETH,
            name: "eth2".into(),
            up: true,
            carrier: true,
            mac: Some(MacAddress([2, 0, 0, 0, 0, 2])),
            port_of: None,
            alternative_names: [].into(),
        };
        Dump {
            links: vec![link],
            addresses: self.held.clone(),
            marks: true,
            extent: Extent::All,
        }
    }

    /// The addresses, as texts.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let all = self.held.iter();
        all.map(|(_, held)| held.address.to_string()).collect()
    }

    /// Adds an address, unless the interface holds it.
    pub(crate) fn add(&mut self, address: InterfaceAddress, ours: bool) {
        if self.held.iter().any(|(_, held)| held.address == address) {
            return;
        }
        let mut others = self.held.iter();
        let secondary = others.any(|(_, held)| is_of_one_network(held.address, address));
        let held = Held {
            address,
            ours,
            secondary,
        };
        self.held.push((ETH, held));
        if !ours {
            self.news.push(Event::AddressAdded(ETH, held));
        }
    }

    /// Deletes an address. `by` is the reason that the notifications of all deleted addresses give; none
    /// for a request of the daemon, which is notified of the other ones only.
    pub(crate) fn delete(&mut self, address: InterfaceAddress, by: Option<Loss>) {
        let Some(at) = self
            .held
            .iter()
            .position(|(_, held)| held.address == address)
        else {
            return;
        };
        let (_, gone) = self.held.remove(at);
        let is_second = |held: &Held| held.secondary && is_of_one_network(held.address, address);
        let mut lost = Vec::new();
        if !gone.secondary {
            if !self.promoting.contains(&ETH) {
                let seconds = self.held.extract_if(.., |(_, held)| is_second(held));
                lost.extend(seconds.map(|(_, held)| held.address));
            } else if let Some((_, held)) = self.held.iter_mut().find(|(_, held)| is_second(held)) {
                held.secondary = false;
                self.news.push(Event::AddressAdded(ETH, *held));
            }
        }
        let own_request = by.is_none();
        lost.extend((!own_request).then_some(address));
        let loss = by.unwrap_or(Loss::Unknown);
        let events = lost
            .iter()
            .map(|address| Event::AddressRemoved(ETH, *address, loss.clone()));
        self.news.extend(events);
        lost.push(address);
        let has_ipv4 = self
            .held
            .iter()
            .any(|(_, held)| held.address.family() == Family::V4);
        self.routes.retain(|route| {
            let is_ipv4 = route.place.destination.family() == Family::V4;
            let has_source = !lost.iter().any(|gone| route.source == Some(gone.address));
            has_source && (has_ipv4 || !is_ipv4)
        });
    }
}

impl Kernel for FakeHost {
    type DropFilterError = String;

    fn dump(&mut self) -> io::Result<Dump> {
        self.readings.push(Extent::All);
        let mut dump = self.all();
        if self.interrupts_dumps {
            dump.extent = Extent::Interrupted;
            dump.addresses.pop();
        }
        Ok(dump)
    }

    fn dump_interface(&mut self, interface: InterfaceIndex) -> io::Result<Dump> {
        let extent = Extent::Interface(interface);
        self.readings.push(extent);
        Ok(Dump {
            extent,
            ..self.all()
        })
    }

    fn change_addresses(
        &mut self,
        changes: &[Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) {
        for change in changes {
            self.requests.push(change.to_string());
            match *change {
                Change::Add { address, .. } => match self.rejects_additions {
                    Some(kind) => {
                        mirror.refused(change);
                        failures.push(Failure::new(*change, &kind.into()));
                    }
                    None => self.add(address, true),
                },
                Change::Delete { address, .. } => self.delete(address, None),
            }
        }
    }

    fn limit_lifetimes(&mut self, additions: &[Change], seconds: Option<u32>) -> io::Result<()> {
        for addition in additions {
            let lifetime = seconds.map_or_else(|| "ever".to_owned(), |it| format!("{it} s"));
            self.lifetimes
                .push(format!("{} for {lifetime}", addition.address()));
        }
        match self.rejects_lifetimes {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    fn promote_secondaries(&mut self, on: InterfaceIndex, promotes: bool) -> io::Result<bool> {
        if let Some(kind) = self.rejects_promotion.filter(|_| promotes) {
            return Err(kind.into());
        }
        Ok(match promotes {
            true => self.promoting.insert(on),
            false => self.promoting.remove(&on),
        })
    }

    fn accept_own_sources(&mut self, _: &BTreeSet<InterfaceIndex>) -> io::Result<OwnSources> {
        Ok(OwnSources::default())
    }

    fn repair_device_settings(&mut self) -> io::Result<Vec<RepairedSetting>> {
        Ok(std::mem::take(&mut self.changed_settings))
    }

    fn change_devices(
        &mut self,
        _: &[DeviceChange],
        _: &mut dyn FnMut(&DeviceChange, io::Error),
    ) -> io::Result<()> {
        Ok(())
    }

    fn open_routing(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn dump_routing(&mut self) -> io::Result<routing::mirror::Dump> {
        if self.rejects_route_dumps {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(routing::mirror::Dump {
            routes: self.routes.clone(),
            rules: Vec::new(),
        })
    }

    fn change_routing<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c routing::change::Change>,
        mirror: &mut routing::mirror::Mirror,
        failures: &mut Vec<routing::change::Failure>,
    ) {
        for change in changes {
            self.requests.push(change.to_string());
            let is_rejected = match change.deletes() {
                true => self.rejects_route_deletions,
                false => self.rejects_additions.is_some(),
            };
            if is_rejected {
                mirror.refused(change);
                let error = io::ErrorKind::OutOfMemory.into();
                failures.push(routing::change::Failure::refused(change, &error, None));
                continue;
            }
            match change {
                routing::change::Change::AddRoute { installed, .. } => {
                    self.routes.push(installed.clone());
                }
                routing::change::Change::DeleteRoute(gone) => {
                    self.routes.retain(|route| route != gone);
                }
                routing::change::Change::ExtendRoute { .. }
                | routing::change::Change::AddRule { .. }
                | routing::change::Change::DeleteRule(_) => panic!("{change}"),
            }
        }
    }

    fn close_routing(&mut self) {}

    fn open_drop_rules(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn change_drop_rules(&mut self, _: &Transaction<'_>) -> Result<(), String> {
        self.has_table = true;
        Ok(())
    }

    fn delete_drop_rules(&mut self) -> Result<bool, String> {
        match self.rejects_table_deletion {
            true => Err("cannot delete the table".to_owned()),
            false => Ok(std::mem::take(&mut self.has_table)),
        }
    }
}

impl Host for FakeHost {
    type Kernel = Self;

    fn kernel(&mut self) -> &mut Self {
        self
    }

    fn listen(&mut self, _: &Listeners) -> Vec<(crate::listeners::Path, io::Error)> {
        Vec::new()
    }

    fn solicit(&mut self, _: vrrp_proto::Solicitation) {}

    fn listen_only(&mut self, _: &Listeners) {}

    fn watch(&mut self, _: &Watched, _: &Mirror) {}

    fn witnessed(&mut self, _: &mut Vec<WitnessedPacket>) {}

    fn defend(&mut self, addresses: &Defended) -> io::Result<()> {
        self.defended.push(addresses.clone());
        Ok(())
    }

    fn advertise(&mut self, advertisement: Advertisement) {
        self.queued.push(advertisement);
    }

    fn announce(&mut self, _: InterfaceIndex, _: MacAddress, address: IpAddr) {
        self.requests.push(format!("announce {address}"));
    }

    fn flush(&mut self, _: &Mirror, rejected: &mut Vec<RejectedAdvert>) {
        for advertisement in std::mem::take(&mut self.queued) {
            if let Some(error) = self.rejects_adverts {
                let Advertisement {
                    interface,
                    source,
                    message,
                    ..
                } = advertisement;
                rejected.extend(RejectedAdvert::of(
                    interface,
                    source,
                    &message,
                    error.into(),
                ));
            }
        }
    }

    fn defer_devices(&mut self, _: Vec<DeviceChange>) -> io::Result<()> {
        Ok(())
    }

    fn recall_devices(&mut self, _: &dyn Fn(&str) -> bool) {}

    fn synchronise(&mut self, _: DesiredLvs) -> io::Result<()> {
        Ok(())
    }

    fn report(&mut self, report: Report) {
        self.reports.push(report);
    }

    fn complain(&mut self, _: Severity, text: String) {
        self.log.push(text);
    }

    fn note(&mut self, text: String) {
        self.log.push(text);
    }
}
