//! The kernel's sync thread of IPVS follows the state of a router.

use std::sync::Arc;

use super::Engine;
use crate::events::{DesiredLvs, LvsRole, Output};
use crate::types::State;

impl Engine {
    /// Says what the sync thread should be, when that is something else than was said last. It costs
    /// nothing where there is to be none.
    pub(super) fn want_lvs(&mut self) {
        let desired = self.desired_lvs();
        if desired == self.lvs {
            return;
        }
        let former = core::mem::replace(&mut self.lvs, desired.clone());
        // Who was to have one and is no longer is to have none.
        let given_up = || {
            let former = former.filter(|former| former.role.is_some())?;
            Some(DesiredLvs {
                role: None,
                ..former
            })
        };
        self.outputs
            .extend(desired.or_else(given_up).map(Output::Lvs));
    }

    /// Says it again.
    pub(super) fn want_lvs_again(&mut self) {
        self.outputs.extend(self.lvs.clone().map(Output::Lvs));
    }

    fn desired_lvs(&self) -> Option<DesiredLvs> {
        let instance = &self.instances[self.synchronised?];
        let sync = instance.params.lvs.as_ref()?;
        Some(DesiredLvs {
            sync: Arc::clone(sync),
            on: self.interfaces.index(&sync.interface),
            role: LvsRole::of(instance.router.state()),
        })
    }
}

impl LvsRole {
    /// What the sync thread is in a state of its router.
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Init => None,
            // What keeps it from serving need not keep it from hearing of connections, and it may serve
            // in a moment.
            State::Backup | State::Fault => Some(Self::Backup),
            State::Master => Some(Self::Master),
        }
    }
}
