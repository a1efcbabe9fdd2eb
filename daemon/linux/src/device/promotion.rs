//! Promotion of secondary IPv4 addresses (`promote_secondaries` of ip-sysctl).

use std::io;

use vrrp_proto::InterfaceIndex;

use super::{Devices, Setting};

impl Devices {
    /// Sets whether the kernel promotes a secondary IPv4 address of an interface when the primary one is
    /// deleted. Returns whether that changed the setting of the interface. The setting of all interfaces,
    /// which turns promotion on as well, is not considered.
    ///
    /// # Errors
    ///
    /// EPERM.
    pub fn promote_secondaries(
        &mut self,
        index: InterfaceIndex,
        promotes: bool,
    ) -> io::Result<bool> {
        let Some(known) = self.read(index)? else {
            return Ok(false);
        };
        // An interface without IPv4 has no IPv4 settings, and no address to promote.
        let has_none = known.settings.is_empty();
        if has_none || promotes == (known.setting(Setting::PromoteSecondaries) != 0) {
            return Ok(false);
        }
        self.set(index, [(Setting::PromoteSecondaries, promotes.into())])?;
        Ok(true)
    }
}
