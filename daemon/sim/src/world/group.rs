//! Invariants of the final state for sync groups.
//!
//! A group is held back by a master that it receives in any member and may not preempt. Among hosts
//! with the same groups and mutual reception, two groups of masters never receive each other, and every
//! other group receives a master that it does not have precedence over. For hosts with different groups
//! there is no rule.

use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::{Family, State};

use super::World;
use super::configured::{dialect, key_of};
use super::end::{Member, is_usable};
use crate::foreign;
use crate::invariants::{Invariant, Violation};
use crate::network::Station;
use crate::scenario::RouterConfig;

/// Properties on which the hosts have to agree: VRID, dialect and families of each member.
type Likeness = Vec<(u8, u8, String, Vec<Family>)>;

/// Host that can serve with all members of a group.
struct Side {
    station: Station,
    members: Vec<Member>,
    /// Whether the group took over from a master of the same priority that remained master.
    lets_stand: bool,
}

impl Side {
    fn is_master(&self) -> bool {
        self.members.iter().all(|member| member.is_master)
    }

    fn preempts(&self) -> bool {
        self.members.iter().all(|member| member.preempts)
    }
}

impl World<'_> {
    /// Whether a virtual router is in a group on any host at any time.
    pub(super) fn is_entangled(&self, key: (u8, u8)) -> bool {
        self.entangled.iter().any(|keys| keys.contains(&key))
    }

    /// Whether all hosts that have a virtual router have the same group of it, or none.
    pub(super) fn is_grouped_alike(&self, key: (u8, u8)) -> Result<bool, Violation> {
        Ok(!self.is_entangled(key) || self.sides(key)?.is_some())
    }

    /// Checks the invariants of the final state for a virtual router in groups.
    pub(super) fn look_together(&mut self, key: (u8, u8)) -> Result<(), Violation> {
        let Some(sides) = self.sides(key)? else {
            self.coverage.fault("(final state: different groups)");
            return Ok(());
        };
        if !self.is_mutual(key) {
            self.coverage
                .fault("(final state: groups without mutual reception)");
            return Ok(());
        }
        self.coverage.ends += 1;
        self.coverage.fault("(final state: same groups)");
        let masters: Vec<&Side> = sides.iter().filter(|side| side.is_master()).collect();
        let mut pairs = masters
            .iter()
            .flat_map(|one| masters.iter().map(move |two| (one, two)));
        if pairs.clone().any(|(one, two)| are_twins(one, two)) {
            return Ok(());
        }
        if let Some((one, two)) = pairs.find(|(one, two)| {
            one.station < two.station && self.heard_in(one, two).next().is_some()
        }) {
            let (one, two) = (one.station, two.station);
            return Err(Invariant::OneHolder.broken(format!(
                "groups of hosts {one} and {two} are both master and receive each other"
            )));
        }
        for side in sides.iter().filter(|side| !side.is_master()) {
            let heard: Vec<(usize, u8)> = masters
                .iter()
                .flat_map(|master| {
                    let places = self.heard_in(side, master);
                    places.map(|place| (place, master.members[place].priority))
                })
                .collect();
            if heard.is_empty() {
                let host = side.station;
                return Err(Invariant::OneHolder
                    .broken(format!("host {host}: receives no master and is not master")));
            }
            let ours = |place: usize| side.members[place].priority;
            let goes_before = heard.iter().all(|(place, theirs)| *theirs <= ours(*place))
                && heard.iter().any(|(place, theirs)| *theirs < ours(*place));
            if side.preempts() && goes_before && !side.lets_stand {
                return Err(Invariant::Precedence.broken(format!(
                    "host {}: has precedence over all masters that it receives, (member, priority): {heard:?}",
                    side.station
                )));
            }
        }
        let is_whole = self.segments.iter().all(|segment| segment.side == 0);
        if is_whole
            && !self.is_contested(key.0)
            && let [master] = masters[..]
            && let Some(member) = master.members.iter().find(|m| key_of(&m.config) == key)
        {
            self.check_neighbours(key, member)?;
        }
        Ok(())
    }

    /// Returns the hosts that can serve with the group of a virtual router, or `None` if the hosts that
    /// have it group it differently.
    fn sides(&self, key: (u8, u8)) -> Result<Option<Vec<Side>>, Violation> {
        let mut likeness: Option<Likeness> = None;
        let mut sides = Vec::new();
        let mut keys = BTreeSet::from([key]);
        for (host, oracle) in self.hosts.iter().zip(&self.witnesses) {
            let has = |router: &RouterConfig| key_of(router) == key;
            if !host.runs() || !oracle.routers().any(|(_, router)| has(&router.config)) {
                continue;
            }
            let routers: BTreeMap<&str, _> = oracle
                .routers()
                .map(|(name, router)| (name.as_str(), router))
                .collect();
            let group = oracle.groups().find(|group| {
                let mut members = oracle.members_of(group).into_iter();
                members.any(|member| has(&routers[&*member].config))
            });
            let Some(group) = group else { return Ok(None) };
            let members = oracle.members_of(group);
            let lets_stand = oracle.lets_stand(&members);
            let members: Vec<(&str, _)> = members
                .iter()
                .map(|member| (member.as_str(), routers[member.as_str()]))
                .collect();
            let like = members
                .iter()
                .map(|(_, router)| likeness_of(&router.config));
            let like: Likeness = like.collect();
            if *likeness.get_or_insert_with(|| like.clone()) != like {
                return Ok(None);
            }
            keys.extend(members.iter().map(|(_, router)| key_of(&router.config)));
            if members.iter().any(|(_, router)| router.is_unlinked) {
                // Other hosts hear its other members, and wait.
                return Ok(None);
            }
            let can_serve = members.iter().all(|(name, router)| {
                let is_kept = oracle.is_kept_by_tracker(&router.config) || oracle.is_barred(name);
                is_usable(host, &router.config) && !is_kept
            });
            if !can_serve {
                continue;
            }
            let state = members[0].1.state();
            if matches!(state, State::Fault | State::Init) {
                return Err(Invariant::OneHolder.broken(format!(
                    "host {}: {group} could serve and is in {state}",
                    host.id
                )));
            }
            let members = members.into_iter();
            sides.push(Side {
                station: host.id,
                lets_stand,
                members: members
                    .map(|router| Member::new(self.now, host, oracle, router))
                    .collect(),
            });
        }
        // Every host with one of the virtual routers has to have all of them.
        let is_foreign = self.foreign.iter().any(|router| {
            router.state != foreign::State::Initialize && keys.contains(&key_of(router.config()))
        });
        let stations: BTreeSet<Station> = self
            .hosts
            .iter()
            .zip(&self.witnesses)
            .filter(|(host, oracle)| {
                let mut routers = oracle.routers();
                host.runs() && routers.any(|(_, router)| keys.contains(&key_of(&router.config)))
            })
            .map(|(host, _)| host.id)
            .collect();
        let have_it = self
            .hosts
            .iter()
            .zip(&self.witnesses)
            .filter(|(host, oracle)| {
                let mut routers = oracle.routers();
                host.runs() && routers.any(|(_, router)| key_of(&router.config) == key)
            });
        let is_alike = !is_foreign && have_it.count() == stations.len();
        Ok(is_alike.then_some(sides))
    }

    /// Positions of the members in which two hosts receive each other.
    fn heard_in<'s>(&'s self, one: &'s Side, other: &'s Side) -> impl Iterator<Item = usize> + 's {
        let members = one.members.iter().enumerate();
        members
            .filter(|(_, member)| {
                let segment = self.segment(member.config.segment);
                segment.side_of(one.station) == segment.side_of(other.station)
            })
            .map(|(place, _)| place)
    }
}

fn are_twins(one: &Side, other: &Side) -> bool {
    let mut members = one.members.iter().zip(&other.members);
    members.any(|(one, other)| one.is_twin(other))
}

fn likeness_of(config: &RouterConfig) -> (u8, u8, String, Vec<Family>) {
    let (segment, vrid) = key_of(config);
    (segment, vrid, dialect(config), config.spoken().collect())
}
