//! Identity of virtual routers on the network. A router with another name and the same identity is renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::RouterParams;
use crate::types::{Family, Version, Vrid};

/// Identity of a virtual router: two configurations with the same one are one router, under any names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) interface: Arc<str>,
    pub(crate) vrid: Vrid,
    pub(crate) version: Version,
    /// Families of the addresses; each family is a separate virtual router on the network (RFC 9568 section
    /// 5.2.9). Empty, because unknown, for a router of an earlier process without a source address.
    pub(crate) families: BTreeSet<Family>,
}

impl Identity {
    /// Whether both are one virtual router: interface, VRID and version are the same, and so is a family. A
    /// router that gains or loses the other family stays the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self {
            interface,
            vrid,
            version,
            families,
        } = self;
        let shares_family = families.is_empty()
            || other.families.is_empty()
            || !families.is_disjoint(&other.families);
        (interface, vrid, version) == (&other.interface, &other.vrid, &other.version)
            && shares_family
    }
}

impl From<&RouterParams> for Identity {
    fn from(params: &RouterParams) -> Self {
        let families = Family::ALL.into_iter();
        Self {
            interface: Arc::clone(&params.interface),
            vrid: params.vrid,
            version: params.version,
            families: families.filter(|it| params.speaks(*it)).collect(),
        }
    }
}

/// Routers that have another name in a new configuration: new names by the former ones. All of them change at
/// the same time, so names may be exchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames(BTreeMap<Arc<str>, Arc<str>>);

impl Renames {
    /// Finds the routers of `before` that are in `after` under another name.
    pub(crate) fn between(
        before: &BTreeMap<Arc<str>, Identity>,
        after: &BTreeMap<Arc<str>, Identity>,
    ) -> Self {
        let is_kept = |name: &Arc<str>| {
            let both = before.get(name).zip(after.get(name));
            both.is_some_and(|(before, after)| before.is_same(after))
        };
        let mut gone: BTreeMap<_, Vec<(&Arc<str>, &Identity)>> = BTreeMap::new();
        for (name, identity) in before.iter().filter(|(name, _)| !is_kept(name)) {
            let place = (&identity.interface, identity.vrid);
            gone.entry(place).or_default().push((name, identity));
        }
        let mut renames = BTreeMap::new();
        for (name, identity) in after.iter().filter(|(name, _)| !is_kept(name)) {
            let Some(candidates) = gone.get_mut(&(&identity.interface, identity.vrid)) else {
                continue;
            };
            let same = candidates.iter().position(|(_, it)| it.is_same(identity));
            if let Some(position) = same {
                let (former, _) = candidates.remove(position);
                renames.insert(Arc::clone(former), Arc::clone(name));
            }
        }
        Self(renames)
    }

    /// Whether no router has another name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Former and new names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter()
    }

    /// New name of a renamed router, by its former one.
    pub fn new_name(&self, former: &Arc<str>) -> Option<&Arc<str>> {
        self.0.get(former)
    }

    /// Name of a router from now on.
    pub fn present<'a>(&'a self, name: &'a Arc<str>) -> &'a Arc<str> {
        self.0.get(name).unwrap_or(name)
    }

    /// Present name of the router that had this name. `None` if that router was removed, and another one has taken
    /// the name.
    pub fn follow<'a>(&'a self, former: &'a Arc<str>) -> Option<&'a Arc<str>> {
        let is_taken = || self.0.values().any(|new| new == former);
        match self.new_name(former) {
            Some(new) => Some(new),
            None if is_taken() => None,
            None => Some(former),
        }
    }

    /// Moves the values of the renamed routers. A value that stood under a new name of another router is
    /// dropped.
    pub fn apply<V>(&self, values: &mut BTreeMap<Arc<str>, V>) {
        self.apply_by(Arc::clone, values);
    }

    /// Moves the values of the renamed routers in a map with other keys. Returns the values that stood under a new name, each with the former and the
    /// new key of the router that took its place.
    pub(crate) fn apply_by<K: Ord + Clone, V>(
        &self,
        key: impl Fn(&Arc<str>) -> K,
        values: &mut BTreeMap<K, V>,
    ) -> Vec<(K, K, V)> {
        let keys = self.iter().map(|(former, new)| (key(former), key(new)));
        let moved: Vec<_> = keys
            .filter_map(|(former, new)| Some((values.remove(&former)?, former, new)))
            .collect();
        let replaced = moved.into_iter().filter_map(|(value, former, new)| {
            let replaced = values.insert(new.clone(), value)?;
            Some((former, new, replaced))
        });
        replaced.collect()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Renames {
    fn from(names: [(&str, &str); N]) -> Self {
        let names = names.map(|(former, new)| (former.into(), new.into()));
        Self(BTreeMap::from(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with identities, each given as interface, VRID and families.
    fn routers(all: &[(&str, &str, u8, &[Family])]) -> BTreeMap<Arc<str>, Identity> {
        let identity = |(name, interface, vrid, families): &(&str, &str, u8, &[Family])| {
            let identity = Identity {
                interface: (*interface).into(),
                vrid: Vrid::new(*vrid).unwrap(),
                version: Version::V3,
                families: families.iter().copied().collect(),
            };
            ((*name).into(), identity)
        };
        all.iter().map(identity).collect()
    }

    #[test]
    fn renamed_routers_are_found_by_interface_vrid_and_family() {
        let (v4, v6): (&[_], &[_]) = (&[Family::V4], &[Family::V6]);
        let before = routers(&[
            ("kept", "eth0", 1, v4),
            ("old", "eth0", 2, v4),
            ("old6", "eth0", 2, v6),
            ("moved", "eth0", 3, v4),
            ("gone", "eth0", 4, v4),
            ("one", "eth0", 5, v4),
            ("two", "eth0", 6, v4),
        ]);
        let after = routers(&[
            ("kept", "eth0", 1, v4),
            ("new6", "eth0", 2, v6),
            ("new4", "eth0", 2, &Family::ALL),
            ("moved", "eth1", 3, v4),
            ("gone again", "eth0", 4, v6),
            ("one", "eth0", 6, v4),
            ("two", "eth0", 5, v4),
        ]);
        let renames = Renames::between(&before, &after);
        let renames: Vec<_> = renames.iter().map(|(old, new)| (&**old, &**new)).collect();
        let expected = [
            ("old", "new4"),
            ("old6", "new6"),
            ("one", "two"),
            ("two", "one"),
        ];
        assert_eq!(renames, expected);
    }

    #[test]
    fn unknown_families_of_an_earlier_process_match_any() {
        let before = routers(&[("old", "eth0", 2, &[])]);
        let after = routers(&[("new", "eth0", 2, &[Family::V6])]);
        assert!(!Renames::between(&before, &after).is_empty());
        assert!(Renames::between(&before, &before).is_empty());
    }
}
