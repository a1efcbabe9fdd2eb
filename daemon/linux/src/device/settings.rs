//! Repair of the settings of interfaces with virtual MAC addresses, and of their parents.

use std::collections::BTreeSet;
use std::io;

use vrrp_node::host::RepairedSetting;

use super::{Devices, Former, SETTINGS, Setting, is_for_ipv4};

impl Devices {
    /// Sets the settings of the daemon's interfaces and of their parents again where another program changed
    /// them. Returns what was changed.
    ///
    /// # Errors
    ///
    /// Any error of the kernel; the other interfaces are repaired nevertheless.
    pub fn repair_settings(&mut self) -> io::Result<Vec<RepairedSetting>> {
        let known = self.known()?;
        let ours = known.iter().filter(|each| each.is_ours());
        let parents: BTreeSet<_> = ours
            .filter(|each| each.link.mac.is_some_and(is_for_ipv4))
            .filter_map(|each| each.parent)
            .collect();
        let mut repaired = Vec::new();
        let mut outcome = Ok(());
        for each in &known {
            let wanted: &[(Setting, u32)] = match each.is_ours() {
                true => &SETTINGS,
                false if parents.contains(&each.link.index) => &Former::QUIET.values(),
                false => &[],
            };
            let changed = wanted.iter();
            let changed = changed.filter(|(setting, is)| each.setting(*setting) != *is);
            for &(setting, is) in changed {
                let interface = each.link.index;
                match self.set(interface, [(setting, is)]) {
                    Ok(()) => repaired.push(RepairedSetting {
                        interface,
                        name: setting.name(),
                        was: each.setting(setting),
                        is,
                    }),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
        }
        outcome.map(|()| repaired)
    }
}
