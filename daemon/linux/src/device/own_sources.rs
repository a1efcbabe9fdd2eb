//! `accept_local` of the interfaces on which IPv4 advertisements are received.
//!
//! Linux drops a received IPv4 packet whose source is an address of this host, before any raw socket
//! (`fib_validate_source`). A master that holds the address of a returning owner (RFC 9568 section 4.1)
//! would never receive the owner's advertisements. With `accept_local` 1 (ip-sysctl) the kernel
//! delivers them.
//!
//! | `rp_filter` | address on the receiving interface | address on another interface (macvlan, `device`) |
//! | --- | --- | --- |
//! | 0 or 2 | delivered | delivered |
//! | 1 | delivered | dropped |
//!
//! The setting is changed only where it was 0. The kernel stores that it was: in the `tag` setting of
//! the interface, which has no other meaning, so that `vrrpd cleanup` and the next start find it after
//! a crash. An interface with a tag of another program keeps that tag; there a crash leaves
//! `accept_local` 1. The kernel sends no notification when another program changes the setting.

use std::collections::BTreeSet;
use std::io;

use vrrp_node::host::OwnSources;
use vrrp_proto::InterfaceIndex;

use super::{Devices, Setting};

/// Tag of an interface on which a daemon changed `accept_local` from 0 to 1.
const CHANGED: u32 = 0x5701;

impl Devices {
    /// Sets `accept_local` on the interfaces `on`, and restores it on the other interfaces on which a
    /// daemon set it. An interface that does not exist is left out.
    ///
    /// # Errors
    ///
    /// The first error of the kernel, after all interfaces were tried: EPERM, or EAFNOSUPPORT on an
    /// interface without IPv4.
    pub fn accept_own_sources(&mut self, on: &BTreeSet<InterfaceIndex>) -> io::Result<OwnSources> {
        let mut accepting = match self.accepting.take() {
            Some(accepting) => accepting,
            // Those of an earlier run.
            None => {
                let known = self.known()?.into_iter();
                let changed = known.filter(|each| each.setting(Setting::Tag) == CHANGED);
                changed.map(|each| each.link.index).collect()
            }
        };
        let mut done = OwnSources::default();
        let mut outcome = Ok(());
        for index in on {
            match self.accept(*index) {
                Ok(true) if !accepting.insert(*index) => done.repaired.push(*index),
                Ok(_) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        for index in accepting.difference(on) {
            match self.restore(*index) {
                Ok(true) => done.restored.push(*index),
                Ok(false) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        // After an error the next call tries again.
        if outcome.is_ok() {
            accepting.retain(|index| on.contains(index));
        }
        self.accepting = Some(accepting);
        outcome.map(|()| done)
    }

    /// Sets `accept_local` if it is 0. Returns whether it was.
    fn accept(&mut self, index: InterfaceIndex) -> io::Result<bool> {
        let Some(known) = self.read(index)? else {
            return Ok(false);
        };
        if known.setting(Setting::AcceptLocal) != 0 {
            return Ok(false);
        }
        let mark = (known.setting(Setting::Tag) == 0).then_some((Setting::Tag, CHANGED));
        self.set(index, [(Setting::AcceptLocal, 1)].into_iter().chain(mark))?;
        Ok(true)
    }

    /// Restores `accept_local`. Returns whether it was still set.
    fn restore(&mut self, index: InterfaceIndex) -> io::Result<bool> {
        let Some(known) = self.read(index)? else {
            return Ok(false);
        };
        let mark = (known.setting(Setting::Tag) == CHANGED).then_some((Setting::Tag, 0));
        let was_set = known.setting(Setting::AcceptLocal) != 0;
        self.set(index, [(Setting::AcceptLocal, 0)].into_iter().chain(mark))?;
        Ok(was_set)
    }
}
