//! Hosts, their instances, and the virtual routers that these instances form.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_proto::params::{Authentication, RouterParams};
use vrrp_proto::{InterfaceAddress, Vrid, is_link_local};

use super::difference::Setting;
use crate::Loaded;
use crate::problem::Path;

/// A host with its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Host<'c> {
    /// Name of its file, for messages.
    pub file: &'c str,
    /// The configuration.
    pub configuration: &'c Loaded,
}

/// A virtual router: at most one instance of each host.
#[derive(Debug, Default)]
pub(super) struct VirtualRouter<'c> {
    /// Instances by the number of their host.
    pub(super) instances: BTreeMap<usize, Instance<'c>>,
}

/// An instance of one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance<'c> {
    pub(super) host: Host<'c>,
    /// Number of the host.
    pub(super) number: usize,
    pub(super) name: &'c Arc<str>,
    pub(super) params: &'c RouterParams,
}

impl<'c> Instance<'c> {
    /// Returns the setting `key` of this instance, such as `announce.delay`; an empty key is the instance.
    pub(super) fn setting(&self, key: &str, value: Option<String>, odd: Option<String>) -> Setting {
        let path = Path::default().key("instances").key(self.name);
        let path = key
            .split('.')
            .filter(|key| !key.is_empty())
            .fold(path, |path, key| path.key(key));
        Setting {
            file: self.host.file.to_owned(),
            path: path.to_string(),
            value,
            odd,
        }
    }

    /// Returns the kind of authentication, also if its secrets were skipped.
    pub(super) fn authentication(&self) -> &'static str {
        self.host
            .configuration
            .skipped
            .get(self.name)
            .copied()
            .unwrap_or(match self.params.authentication {
                Authentication::None => "none",
                Authentication::Pass(_) => "pass",
                Authentication::Hmac(_) => "hmac",
            })
    }

    /// Whether secrets of the instance were skipped.
    pub(super) fn is_incomplete(&self) -> bool {
        self.host.configuration.skipped.contains_key(self.name)
    }

    /// Returns the virtual addresses without their prefixes.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'c> {
        self.params.addresses.iter().map(|address| address.address)
    }
}

/// Property by which an instance is recognised on another host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark<'c> {
    AddressAndVrid(IpAddr, Vrid),
    Address(IpAddr),
    NameAndVrid(&'c str, Vrid),
    Name(&'c str),
}

/// Properties by which instances are matched, the most reliable first. Names of interfaces differ between
/// hosts, and names of instances may.
const MARKS: [fn(Instance<'_>) -> Vec<Mark<'_>>; 4] = [
    |instance| {
        let vrid = instance.params.vrid;
        instance
            .addresses()
            .map(|address| Mark::AddressAndVrid(address, vrid))
            .collect()
    },
    // A link-local address may exist on every network.
    |instance| {
        let addresses = instance
            .addresses()
            .filter(|address| !is_link_local(*address));
        addresses.map(Mark::Address).collect()
    },
    |instance| vec![Mark::NameAndVrid(instance.name, instance.params.vrid)],
    |instance| vec![Mark::Name(instance.name)],
];

/// Groups the instances of `hosts` by virtual router.
pub(super) fn virtual_routers<'c>(hosts: &[Host<'c>]) -> Vec<VirtualRouter<'c>> {
    let mut routers: Vec<VirtualRouter<'c>> = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let instances = host.configuration.node.routers.iter();
        let mut unmatched: Vec<Instance<'c>> = instances
            .map(|(name, params)| Instance {
                host: *host,
                number,
                name,
                params,
            })
            .collect();
        for marks in MARKS {
            let mut known = BTreeMap::new();
            for (index, router) in routers.iter().enumerate() {
                for instance in router.instances.values() {
                    for mark in marks(*instance) {
                        known.entry(mark).or_insert(index);
                    }
                }
            }
            unmatched.retain(|instance| {
                let mut found = marks(*instance)
                    .into_iter()
                    .filter_map(|mark| known.get(&mark));
                let index = found.find(|index| !routers[**index].instances.contains_key(&number));
                if let Some(index) = index {
                    routers[*index].instances.insert(number, *instance);
                }
                index.is_none()
            });
        }
        routers.extend(unmatched.into_iter().map(|instance| VirtualRouter {
            instances: BTreeMap::from([(number, instance)]),
        }));
    }
    routers
}

impl<'c> VirtualRouter<'c> {
    /// Returns the instances in the order of the hosts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Instance<'c>> {
        self.instances.values()
    }

    /// Whether both virtual routers are on one network, as far as the prefixes of their addresses show. A
    /// host that has both on different interfaces has two networks.
    pub(super) fn shares_network_with(&self, other: &Self) -> bool {
        let is_apart = self.instances.iter().any(|(host, instance)| {
            let other = other.instances.get(host);
            other.is_some_and(|other| other.params.interface != instance.params.interface)
        });
        let networks = |router: &Self| -> Vec<InterfaceAddress> {
            let addresses = router
                .iter()
                .flat_map(|instance| instance.params.addresses.iter());
            addresses
                .filter(|address| !address.is_link_local())
                .copied()
                .collect()
        };
        let (own, others) = (networks(self), networks(other));
        !is_apart
            && own.iter().any(|own| {
                let mut others = others.iter();
                others.any(|other| {
                    own.is_network_of(other.address) || other.is_network_of(own.address)
                })
            })
    }
}
