//! Watch over the settings of interfaces with virtual MAC addresses and of their parents.
//!
//! With a changed `arp_ignore` the parent answers ARP for the virtual addresses with its own MAC address
//! (RFC 9568 section 8.1.2 forbids that), and with a changed `rp_filter` or `accept_local` the kernel drops
//! packets to them. It sends no notification of such a change.

use vrrp_proto::Instant;

use crate::host::{Host, Kernel, RepairedSetting, Severity};
use crate::mirror::Mirror;
use crate::own_sources::CHECK;

/// Repairs the settings from time to time.
#[derive(Debug, Default)]
pub(crate) struct DeviceSettings {
    checked_at: Option<Instant>,
}

impl DeviceSettings {
    /// Repairs the settings if the last check was long ago and there are such interfaces, as `any` tells.
    pub(crate) fn check<H: Host>(
        &mut self,
        now: Instant,
        any: impl FnOnce() -> bool,
        mirror: &Mirror,
        host: &mut H,
    ) {
        // The daemon sets them when it creates an interface.
        let last = *self.checked_at.get_or_insert(now);
        if now.since(last) < CHECK {
            return;
        }
        self.checked_at = Some(now);
        if !any() {
            return;
        }
        match host.kernel().repair_device_settings() {
            Ok(repaired) => {
                for RepairedSetting {
                    interface,
                    name,
                    was,
                    is,
                } in repaired
                {
                    let on = mirror.name(interface);
                    let text = format!(
                        "another program set {name} of {on} to {was}: set to {is} again, which the virtual \
                         MAC addresses need"
                    );
                    host.complain(Severity::Warning, text);
                }
            }
            Err(error) => {
                let text = format!(
                    "cannot repair the settings of interfaces with virtual MAC addresses: {error}; trying \
                     again every ten seconds"
                );
                host.complain(Severity::Error, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake::{ETH, FakeHost};

    #[test]
    fn settings_are_repaired_within_ten_seconds_and_reported() {
        let mut host = FakeHost::with_addresses(&[]);
        let mirror = host.mirror();
        let mut settings = DeviceSettings::default();
        let mut check = |seconds, any, host: &mut FakeHost| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            settings.check(now, || any, &mirror, host);
        };
        host.changed_settings = vec![RepairedSetting {
            interface: ETH,
            name: "arp_ignore",
            was: 0,
            is: 1,
        }];
        check(0, true, &mut host);
        check(9, true, &mut host);
        check(10, false, &mut host);
        assert_eq!(host.log, [""; 0]);
        check(20, true, &mut host);
        assert_eq!(
            host.log,
            [
                "another program set arp_ignore of eth2 to 0: set to 1 again, which the virtual MAC \
                 addresses need"
            ]
        );
    }
}
