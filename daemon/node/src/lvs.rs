//! Planning of the IPVS sync daemon, the kernel thread that replicates connections between directors. Pure.

use std::fmt;
use std::sync::Arc;

use vrrp_proto::params::LvsSync;
use vrrp_proto::{DesiredLvs, InterfaceIndex, LvsRole};

/// IPVS sync daemon as the kernel shows it. The kernel tells neither which program started it nor the index
/// of the interface that it was started on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Role: sends connections (master) or receives them (backup).
    pub role: LvsRole,
    /// Settings.
    pub sync: LvsSync,
}

/// Change of the IPVS sync daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Starts a sync daemon. None of that role may be running.
    Start(LvsRole, Arc<LvsSync>),
    /// Stops the sync daemon of that role.
    Stop(LvsRole),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(role, sync) => write!(
                f,
                "start the IPVS sync daemon as {role} on {} (syncId {})",
                sync.interface, sync.sync_id
            ),
            Self::Stop(role) => write!(f, "stop the IPVS sync daemon of role {role}"),
        }
    }
}

/// Returns the changes from the sync daemons that are `shown` to the `desired` one, in their order: the new
/// one is started before that of the other role is stopped, so that no connection is missed in between.
/// `started_on` is the interface on which this daemon started its own.
///
/// If a sync daemon is desired, all others are stopped. If none is desired, only those that look like the
/// daemon's own are stopped.
pub fn plan(
    desired: &DesiredLvs,
    shown: &[Shown],
    started_on: Option<InterfaceIndex>,
) -> Vec<Change> {
    let DesiredLvs { sync, on, role } = desired;
    let wanted = role.filter(|_| on.is_some());
    let is_right =
        |shown: &&Shown| Some(shown.role) == wanted && shown.sync == **sync && started_on == *on;
    let is_in_the_way =
        |shown: &&Shown| !is_right(shown) && (role.is_some() || is_of(&shown.sync, sync));
    let in_the_way = shown.iter().filter(is_in_the_way).map(|shown| shown.role);
    // The kernel runs at most one of each role, so a wrong one of the wanted role is stopped before the
    // start.
    let (of_same, of_other): (Vec<_>, Vec<_>) = in_the_way.partition(|role| Some(*role) == wanted);
    let is_there = shown.iter().any(|shown| is_right(&shown));
    let start = wanted.filter(|_| !is_there);
    of_same
        .into_iter()
        .map(Change::Stop)
        .chain(start.map(|role| Change::Start(role, Arc::clone(sync))))
        .chain(of_other.into_iter().map(Change::Stop))
        .collect()
}

/// Whether a shown sync daemon is most likely one that was started for `sync`, even if the remaining
/// settings differ.
pub(super) fn is_of(shown: &LvsSync, sync: &LvsSync) -> bool {
    (&shown.interface, shown.sync_id) == (&sync.interface, sync.sync_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETH1: Option<InterfaceIndex> = Some(InterfaceIndex(2));
    const MASTER: LvsRole = LvsRole::Master;
    const BACKUP: LvsRole = LvsRole::Backup;

    #[test]
    fn matching_sync_daemon_gives_empty_plan() {
        let desired = desired(Some(MASTER), ETH1);
        assert_eq!(plan(&desired, &[shown(MASTER, 51)], ETH1), []);
        let none = DesiredLvs {
            role: None,
            ..desired
        };
        assert_eq!(plan(&none, &[], None), []);
    }

    #[test]
    fn missing_sync_daemon_is_started_again() {
        let changes = plan(&desired(Some(BACKUP), ETH1), &[], ETH1);
        assert_eq!(changes, [start(BACKUP)]);
    }

    #[test]
    fn new_role_is_started_before_old_stops() {
        let changes = plan(&desired(Some(MASTER), ETH1), &[shown(BACKUP, 51)], ETH1);
        assert_eq!(changes, [start(MASTER), Change::Stop(BACKUP)]);
    }

    #[test]
    fn sync_daemon_with_other_settings_is_replaced() {
        let changes = plan(&desired(Some(MASTER), ETH1), &[shown(MASTER, 7)], ETH1);
        assert_eq!(changes, [Change::Stop(MASTER), start(MASTER)]);
        let mut jumbo = shown(MASTER, 51);
        jumbo.sync.max_length = 8972;
        let changes = plan(&desired(Some(MASTER), ETH1), &[jumbo], ETH1);
        assert_eq!(changes, [Change::Stop(MASTER), start(MASTER)]);
    }

    #[test]
    fn sync_daemon_of_former_interface_index_is_replaced() {
        let shown = [shown(BACKUP, 51)];
        for former in [None, Some(InterfaceIndex(7))] {
            let changes = plan(&desired(Some(BACKUP), ETH1), &shown, former);
            assert_eq!(changes, [Change::Stop(BACKUP), start(BACKUP)], "{former:?}");
        }
        // The interface does not exist.
        let changes = plan(&desired(Some(BACKUP), None), &shown, ETH1);
        assert_eq!(changes, [Change::Stop(BACKUP)]);
    }

    #[test]
    fn without_role_only_own_sync_daemon_stops() {
        let shown = [shown(MASTER, 7), shown(BACKUP, 51)];
        let changes = plan(&desired(None, ETH1), &shown, ETH1);
        assert_eq!(changes, [Change::Stop(BACKUP)]);
    }

    proptest! {
        #[test]
        fn applied_plan_reaches_desired_sync_daemons(
            role in role(), on in 0_u32..3, started_on in 0_u32..3, shown in any_shown(),
        ) {
            let index = |number| (number > 0).then_some(InterfaceIndex(number));
            let (desired, started_on) = (desired(role, index(on)), index(started_on));
            let mut kernel = shown;
            let mut now_on = started_on;
            for change in plan(&desired, &kernel, started_on) {
                match change {
                    Change::Start(role, sync) => {
                        prop_assert!(kernel.iter().all(|there| there.role != role), "EEXIST");
                        kernel.push(Shown { role, sync: (*sync).clone() });
                        now_on = desired.on;
                    }
                    Change::Stop(role) => {
                        let before = kernel.len();
                        kernel.retain(|there| there.role != role);
                        prop_assert!(kernel.len() < before, "ESRCH");
                    }
                }
            }
            let wanted = role.filter(|_| on > 0).map(|role| Shown {
                role,
                sync: (*desired.sync).clone(),
            });
            if role.is_some() {
                prop_assert_eq!(&kernel, &wanted.into_iter().collect::<Vec<_>>());
            } else {
                prop_assert!(kernel.iter().all(|there| there.sync.sync_id != 51));
            }
            prop_assert_eq!(plan(&desired, &kernel, now_on), []);
        }
    }

    fn role() -> impl Strategy<Value = Option<LvsRole>> {
        prop::sample::select(vec![None, Some(MASTER), Some(BACKUP)])
    }

    /// Any running sync daemons, at most one of each role.
    fn any_shown() -> impl Strategy<Value = Vec<Shown>> {
        let one =
            |role| prop::option::of(prop::sample::select(vec![shown(role, 51), shown(role, 7)]));
        (one(MASTER), one(BACKUP)).prop_map(|(a, b)| a.into_iter().chain(b).collect())
    }

    fn start(role: LvsRole) -> Change {
        Change::Start(role, sync(51).into())
    }

    fn desired(role: Option<LvsRole>, on: Option<InterfaceIndex>) -> DesiredLvs {
        let sync = sync(51).into();
        DesiredLvs { sync, on, role }
    }

    fn shown(role: LvsRole, sync_id: u8) -> Shown {
        let sync = sync(sync_id);
        Shown { role, sync }
    }

    fn sync(sync_id: u8) -> LvsSync {
        LvsSync::new("eth1".into(), sync_id)
    }
}
