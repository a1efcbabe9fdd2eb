//! Sync groups: routers of a node that are all backup, all master or all in fault.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Effect, NodeParams, RouterParams, Track};

/// A sync group.
///
/// Its members are routers of the node. Each is a member of no other group, and none is an owner,
/// because an owner holds its addresses regardless of other routers. Groups that break
/// these rules are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupParams {
    /// Names of the members, in the order in which they decide and take over: the same order on all
    /// hosts.
    pub members: Vec<Arc<str>>,
    /// Trackers of the group: each member tracks them in addition to its own.
    pub tracks: Vec<Track>,
}

impl NodeParams {
    /// Removes invalid groups, and gives all members of a group the same parameters: the longest of
    /// their delays, and all their weights, each pair of tracker and weight once.
    pub(crate) fn unite(&mut self) {
        let mut taken = BTreeSet::new();
        let routers = &self.routers;
        self.groups.retain(|_, group| {
            let members: BTreeSet<&Arc<str>> = group.members.iter().collect();
            let can_move = |name: &&Arc<str>| {
                let router = routers.get(*name);
                router.is_some_and(|router| !router.priority.is_owner()) && !taken.contains(*name)
            };
            let is_one = !members.is_empty()
                && members.len() == group.members.len()
                && members.iter().all(can_move);
            if is_one {
                taken.extend(members.into_iter().cloned());
            }
            is_one
        });
        for group in self.groups.values() {
            let members = || {
                group
                    .members
                    .iter()
                    .filter_map(|name| self.routers.get(name))
            };
            let longest = |delay: fn(&RouterParams) -> Duration| members().map(delay).max();
            let preempt_delay = longest(|member| member.preempt_delay).unwrap_or_default();
            let startup_delay = longest(|member| member.startup_delay).unwrap_or_default();
            // Trackers without a weight are not shared: the fault of one member puts all in fault anyway.
            let is_weight = |track: &&Track| matches!(track.effect, Effect::Weight(_));
            let weights = members()
                .flat_map(|member| &member.tracks)
                .filter(is_weight);
            let shared: Vec<Track> = group.tracks.iter().chain(weights).cloned().collect();
            for name in &group.members {
                let Some(member) = self.routers.get_mut(name) else {
                    continue;
                };
                member.preempt_delay = preempt_delay;
                member.startup_delay = startup_delay;
                for track in &shared {
                    if !member.tracks.contains(track) {
                        member.tracks.push(track.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Priority, Vrid};

    #[test]
    fn group_members_share_weights_but_not_fault_trackers() {
        let mut node = node([
            ("a", &[("x", -10), ("y", 0)]),
            ("b", &[("x", -10), ("x", -20)]),
            ("c", &[("x", -30)]),
        ]);
        let tracks = vec![track("z", -5), track("g", 0)];
        node.groups.insert("g".into(), group(&["a", "b"], tracks));
        node.unite();
        assert_eq!(
            tracks_of(&node, "a"),
            [("x", -10), ("y", 0), ("z", -5), ("g", 0), ("x", -20)]
        );
        assert_eq!(
            tracks_of(&node, "b"),
            [("x", -10), ("x", -20), ("z", -5), ("g", 0)]
        );
        assert_eq!(tracks_of(&node, "c"), [("x", -30)]);
        let united = node.clone();
        node.unite();
        assert_eq!(node, united, "a second call changes nothing");
    }

    #[test]
    fn group_members_share_the_longest_delays() {
        let mut node = node([("a", &[]), ("b", &[]), ("c", &[])]);
        let delays = [("a", 1, 5), ("b", 3, 2), ("c", 9, 9)];
        for (name, preempt, startup) in delays {
            let router = node.routers.get_mut(name).unwrap();
            router.preempt_delay = Duration::from_secs(preempt);
            router.startup_delay = Duration::from_secs(startup);
        }
        node.groups.insert("g".into(), group(&["b", "a"], vec![]));
        node.unite();
        let of = |name: &str| {
            let router = &node.routers[name];
            (
                router.preempt_delay.as_secs(),
                router.startup_delay.as_secs(),
            )
        };
        assert_eq!((of("a"), of("b"), of("c")), ((3, 5), (3, 5), (9, 9)));
    }

    #[test]
    fn invalid_sync_groups_are_removed() {
        let mut node = node([("a", &[]), ("b", &[]), ("owner", &[])]);
        node.routers.get_mut("owner").unwrap().priority = Priority::OWNER;
        for (name, members) in [
            ("1", &["a", "owner"][..]),
            ("2", &["a", "missing"]),
            ("3", &["b"]),
            ("4", &["b", "a"]),
            ("5", &[]),
            ("6", &["a", "a"]),
            ("7", &["a"]),
        ] {
            node.groups.insert(name.into(), group(members, vec![]));
        }
        node.unite();
        let left: Vec<&str> = node.groups.keys().map(|name| &**name).collect();
        assert_eq!(left, ["3", "7"]);
    }

    fn node<const N: usize>(routers: [(&str, &[(&str, i16)]); N]) -> NodeParams {
        let router = |(name, tracks): (&str, &[(&str, i16)])| {
            let mut params =
                RouterParams::new("eth1".into(), Vrid::new(51).unwrap(), Arc::default());
            params.tracks = tracks
                .iter()
                .map(|(name, weight)| track(name, *weight))
                .collect();
            (name.into(), params)
        };
        NodeParams {
            routers: routers.map(router).into(),
            ..NodeParams::default()
        }
    }

    fn group(members: &[&str], tracks: Vec<Track>) -> GroupParams {
        GroupParams {
            members: members.iter().map(|name| (*name).into()).collect(),
            tracks,
        }
    }

    fn track(tracker: &str, weight: i16) -> Track {
        Track {
            tracker: tracker.into(),
            effect: match weight {
                0 => Effect::Fault,
                weight => Effect::Weight(weight),
            },
        }
    }

    fn tracks_of<'n>(node: &'n NodeParams, router: &str) -> Vec<(&'n str, i16)> {
        let weight = |track: &Track| match track.effect {
            Effect::Fault => 0,
            Effect::Weight(weight) => weight,
        };
        let tracks = node.routers[router].tracks.iter();
        tracks
            .map(|track| (&*track.tracker, weight(track)))
            .collect()
    }
}
