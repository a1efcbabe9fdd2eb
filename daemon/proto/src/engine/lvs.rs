//! IPVS sync daemon: its role follows the state of a router.

use std::sync::Arc;

use super::Engine;
use super::instance::Instance;
use crate::events::{DesiredLvs, Output};
use crate::params::LvsRole;
use crate::types::State;

impl Engine {
    /// Requests the desired state of the sync daemon if it differs from the last request. Free of
    /// cost if none is configured.
    pub(super) fn want_lvs(&mut self) {
        let desired = self.desired_lvs();
        if desired == self.lvs {
            return;
        }
        let former = core::mem::replace(&mut self.lvs, desired.clone());
        // If the sync daemon is no longer configured, a running one has to be stopped.
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

    /// Repeats the last request.
    pub(super) fn want_lvs_again(&mut self) {
        self.outputs.extend(self.lvs.clone().map(Output::Lvs));
    }

    fn desired_lvs(&self) -> Option<DesiredLvs> {
        let instance = &self.instances[self.synchronised?];
        let sync = instance.params.lvs.as_ref()?;
        Some(DesiredLvs {
            sync: Arc::clone(sync),
            on: self.interfaces.index(&sync.interface),
            role: instance.lvs_role(),
        })
    }
}

impl Instance {
    /// Returns the role of the sync daemon. Until its successor advertises, this host sends the state of the
    /// connections that it still receives.
    pub(super) fn lvs_role(&self) -> Option<LvsRole> {
        match self.hand_over {
            Some(_) => Some(LvsRole::Master),
            None => LvsRole::of(self.router.state()),
        }
    }
}

impl LvsRole {
    /// Returns the role of the sync daemon in a state of its router.
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Init => None,
            // In fault the host may become master soon, and often still receives the connections.
            State::Backup | State::Fault => Some(Self::Backup),
            State::Master => Some(Self::Master),
        }
    }
}
