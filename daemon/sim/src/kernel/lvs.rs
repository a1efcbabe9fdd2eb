//! IPVS sync daemons, at most one of each role.

use vrrp_node::lvs::{Change, Shown};

use super::Kernel;

impl Kernel {
    /// All IPVS sync daemons.
    pub(crate) fn threads(&self) -> &[Shown] {
        &self.threads
    }

    /// Applies the daemon's changes in order until one is rejected. Returns whether all succeeded.
    pub(crate) fn change_threads(&mut self, changes: &[Change]) -> bool {
        changes.iter().all(|change| {
            if self.refusing > 0 {
                self.refusing -= 1;
                return false;
            }
            self.change_thread(change)
        })
    }

    fn change_thread(&mut self, change: &Change) -> bool {
        let is_there = |role| self.threads.iter().any(|thread| thread.role == role);
        match change {
            Change::Start(role, sync) => {
                let mut links = self.interfaces.values().map(|interface| &interface.link);
                if is_there(*role) || !links.any(|link| link.name == sync.interface) {
                    return false;
                }
                let (role, sync) = (*role, (**sync).clone());
                self.threads.push(Shown { role, sync });
            }
            Change::Stop(role) if is_there(*role) => self.threads.retain(|t| t.role != *role),
            Change::Stop(_) => return false,
        }
        true
    }
}
