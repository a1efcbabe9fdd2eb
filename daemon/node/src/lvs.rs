//! What is to be done so that the sync thread of IPVS is as it should be. Pure.

use std::fmt;
use std::sync::Arc;

use vrrp_proto::params::LvsSync;
use vrrp_proto::{DesiredLvs, InterfaceIndex, LvsRole};

/// A sync thread as the kernel shows it. It tells neither who started it nor on which interface of that
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it does.
    pub role: LvsRole,
    /// With which settings.
    pub sync: LvsSync,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Start a thread. There must be none of that role.
    Start(LvsRole, Arc<LvsSync>),
    /// Stop the thread of that role.
    Stop(LvsRole),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(role, sync) => write!(
                f,
                "start the sync thread of IPVS as {role} on {} (syncId {})",
                sync.interface, sync.sync_id
            ),
            Self::Stop(role) => write!(f, "stop the sync thread of IPVS that is {role}"),
        }
    }
}

/// The changes from what is `shown` to what is desired, in the order in which they are to be made: the
/// new thread begins before that of the other role ends, so that no connection is missed in between.
/// `started_on` is the interface on which our own was started, when it is ours.
///
/// Who wants a thread wants no other one beside it. Who wants none stops what looks like its own.
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

/// Whether a thread that is shown is most likely one that was started for `sync`, whatever became of the
/// other settings.
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
    fn nothing_is_done_when_it_is_as_it_should_be() {
        let desired = desired(Some(MASTER), ETH1);
        assert_eq!(plan(&desired, &[shown(MASTER, 51)], ETH1), []);
        let none = DesiredLvs {
            role: None,
            ..desired
        };
        assert_eq!(plan(&none, &[], None), []);
    }

    #[test]
    fn a_thread_that_somebody_stopped_is_started_again() {
        let changes = plan(&desired(Some(BACKUP), ETH1), &[], ETH1);
        assert_eq!(changes, [start(BACKUP)]);
    }

    #[test]
    fn the_new_role_begins_before_the_old_one_ends() {
        let changes = plan(&desired(Some(MASTER), ETH1), &[shown(BACKUP, 51)], ETH1);
        assert_eq!(changes, [start(MASTER), Change::Stop(BACKUP)]);
    }

    #[test]
    fn a_thread_with_other_settings_gives_way() {
        let changes = plan(&desired(Some(MASTER), ETH1), &[shown(MASTER, 7)], ETH1);
        assert_eq!(changes, [Change::Stop(MASTER), start(MASTER)]);
        let mut jumbo = shown(MASTER, 51);
        jumbo.sync.max_length = 8972;
        let changes = plan(&desired(Some(MASTER), ETH1), &[jumbo], ETH1);
        assert_eq!(changes, [Change::Stop(MASTER), start(MASTER)]);
    }

    #[test]
    fn a_thread_on_a_former_interface_of_the_name_hears_nothing_and_is_started_anew() {
        let shown = [shown(BACKUP, 51)];
        for former in [None, Some(InterfaceIndex(7))] {
            let changes = plan(&desired(Some(BACKUP), ETH1), &shown, former);
            assert_eq!(changes, [Change::Stop(BACKUP), start(BACKUP)], "{former:?}");
        }
        // There is none at all.
        let changes = plan(&desired(Some(BACKUP), None), &shown, ETH1);
        assert_eq!(changes, [Change::Stop(BACKUP)]);
    }

    #[test]
    fn who_wants_none_leaves_what_is_not_its_own_alone() {
        let shown = [shown(MASTER, 7), shown(BACKUP, 51)];
        let changes = plan(&desired(None, ETH1), &shown, ETH1);
        assert_eq!(changes, [Change::Stop(BACKUP)]);
    }

    proptest! {
        #[test]
        fn a_plan_applied_gives_what_is_desired(
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

    /// At most one of each role.
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
