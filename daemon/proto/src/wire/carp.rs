//! CARP (Common Address Redundancy Protocol), only as far as to recognise it: it uses the protocol number,
//! the multicast group and the virtual MAC addresses of VRRP, and its VHID is where VRRP has the VRID
//! (struct carp_header in netinet/ip_carp.h of the BSDs).
//!
//! ```text
//! +-------+-------+---------------+---------------+---------------+
//! |Version| Type  |     VHID      |    advskew    | authlen       |
//! +-------+-------+---------------+---------------+---------------+
//! |   padding     |    advbase    |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |           Counter, 8 bytes, and SHA-1 HMAC, 20 bytes          |
//! +---------------------------------------------------------------+
//! ```

/// Version 2 and type 1, as an advertisement of VRRP version 2.
const VERSION_TYPE: u8 = 0x21;

/// Length of counter and HMAC in units of 4 bytes, where VRRP counts addresses.
const AUTH_LEN: u8 = 7;

/// Length of the message.
const LEN: usize = 36;

/// Whether `message` is an advertisement of CARP. One of VRRP version 2 with seven addresses is longer.
pub(super) fn is_advertisement(message: &[u8]) -> bool {
    message.len() == LEN && message[0] == VERSION_TYPE && message[3] == AUTH_LEN
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::types::{AdvertInterval, InterfaceIndex, Version};
    use crate::wire::Packet;
    use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, Expected, HOP_LIMIT};

    const SENDER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

    fn drop_cause(message: &[u8], version: Version) -> Option<DropCause> {
        let packet = Packet {
            at: crate::Instant::ZERO,
            interface: InterfaceIndex(1),
            source: SENDER.into(),
            destination: GROUP.into(),
            hop_limit: HOP_LIMIT,
            payload: message,
        };
        let expected = Expected {
            version,
            interval: AdvertInterval::DEFAULT,
            auth: Auth::None,
            hop_limit: HOP_LIMIT,
            may_be_empty: false,
        };
        Advert::parse(&packet, &expected).err()
    }

    #[test]
    fn carp_is_named_in_both_versions() {
        let mut message = [0xa5; LEN];
        message[..8].copy_from_slice(&[0x21, 51, 0, 7, 0, 1, 0x12, 0x34]);
        for version in [Version::V2, Version::V3] {
            assert_eq!(drop_cause(&message, version), Some(DropCause::Carp));
        }
    }

    #[test]
    fn vrrp_with_seven_addresses_is_not_carp() {
        let addresses = [[10, 0, 0, 1]; 7];
        for version in [Version::V2, Version::V3] {
            let advert = Advert {
                version,
                vrid: crate::Vrid::new(51).unwrap(),
                priority: 100,
                interval: AdvertInterval::DEFAULT,
                addresses: AddressList::new(&addresses),
                auth: Auth::None,
            };
            let message = advert.emit(ChecksumForm::MessageOnly, SENDER, GROUP);
            assert_eq!(drop_cause(&message, version), None);
        }
    }
}
