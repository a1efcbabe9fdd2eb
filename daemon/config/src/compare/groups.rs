//! Sync groups: the same members in the same order on all hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_proto::params::GroupParams;

use super::difference::{Difference, Setting, Severity, list, majority};
use super::virtual_router::{Host, VirtualRouter};
use crate::problem::Path;

/// Members of a group: numbers of virtual routers, in the order of the election.
type Members = Vec<usize>;

/// The sync groups of several hosts.
pub(super) struct Groups<'c> {
    hosts: Vec<Named<'c>>,
}

/// The groups of one host by name, and the number of the virtual router of each of its instances.
struct Named<'c> {
    host: Host<'c>,
    routers: BTreeMap<&'c Arc<str>, usize>,
}

impl<'c> Named<'c> {
    fn groups(&self) -> impl Iterator<Item = (&'c Arc<str>, &'c GroupParams, Members)> {
        let groups = self.host.configuration.node.groups.iter();
        groups.map(|(name, group)| {
            let members = group.members.iter();
            let members = members.filter_map(|member| self.routers.get(member).copied());
            (name, group, members.collect())
        })
    }

    /// Returns the group with a virtual router.
    fn group_of(&self, router: usize) -> Option<(&'c Arc<str>, &'c GroupParams, Members)> {
        self.groups()
            .find(|(_, _, members)| members.contains(&router))
    }
}

impl<'c> Groups<'c> {
    pub(super) fn new(hosts: &[Host<'c>], routers: &[VirtualRouter<'c>]) -> Self {
        let mut named: Vec<Named<'c>> = hosts
            .iter()
            .map(|host| Named {
                host: *host,
                routers: BTreeMap::new(),
            })
            .collect();
        for (index, router) in routers.iter().enumerate() {
            for instance in router.iter() {
                named[instance.number].routers.insert(instance.name, index);
            }
        }
        Self { hosts: named }
    }

    /// Adds the differences between the groups. Hosts without any member of a group are not concerned.
    pub(super) fn check(&self, found: &mut Vec<Difference>) {
        let mut checked = Vec::new();
        for host in &self.hosts {
            for (_, _, members) in host.groups() {
                if !members.iter().any(|member| checked.contains(member)) {
                    found.extend(self.disagreement(&members));
                }
                checked.extend(members);
            }
        }
    }

    /// Compares the groups that share a member with the group of `members`.
    fn disagreement(&self, members: &Members) -> Option<Difference> {
        let concerned = self.hosts.iter().filter(|host| {
            let mut all = host.routers.values();
            all.any(|router| members.contains(router))
        });
        let groups: Vec<_> = concerned
            .map(|host| {
                let mut groups = members.iter().filter_map(|member| host.group_of(*member));
                (host, groups.next())
            })
            .collect();
        let orders: Vec<Option<&Members>> = groups
            .iter()
            .map(|(_, group)| group.as_ref().map(|(_, _, members)| members))
            .collect();
        if orders.windows(2).all(|pair| pair[0] == pair[1]) {
            return None;
        }
        let usual = majority(&orders);
        let settings = groups.iter().zip(&orders).map(|((host, group), order)| {
            let odd = usual.is_some_and(|usual| usual != order);
            let path = Path::default().key("syncGroups");
            let (path, value) = match group {
                Some((name, group, _)) => {
                    (path.key(name).key("members"), list(group.members.iter()))
                }
                None => (path, "no such group".to_owned()),
            };
            Setting {
                file: host.host.file.to_owned(),
                path: path.to_string(),
                value: Some(value),
                odd: odd.then(|| "otherwise on most hosts".to_owned()),
            }
        });
        Some(Difference {
            severity: Severity::Error,
            message: "a sync group must have the same members in the same order on all hosts: the first member in \
                      which the priorities of two hosts differ decides the election"
                .to_owned(),
            settings: settings.collect(),
        })
    }

    /// Whether the priorities of another member of the group of `router` decide between two hosts.
    pub(super) fn decide(
        &self,
        router: usize,
        routers: &[VirtualRouter<'c>],
        a: usize,
        b: usize,
    ) -> bool {
        let members = |host: usize| {
            self.hosts[host]
                .group_of(router)
                .map(|(_, _, members)| members)
        };
        let (Some(members), Some(others)) = (members(a), members(b)) else {
            return false;
        };
        let priority = |member: usize, host: usize| {
            Some(routers[member].instances.get(&host)?.params.priority)
        };
        members == others
            && members
                .iter()
                .any(|member| priority(*member, a) != priority(*member, b))
    }
}
