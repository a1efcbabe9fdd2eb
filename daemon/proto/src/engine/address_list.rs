//! The addresses of one family that an instance advertises, prepared for comparison with received lists.
//!
//! A received list is compared in linear time when it has the configured order, and by sorting otherwise:
//! a packet of 255 addresses in any order costs some microseconds, and no allocation.

use core::net::IpAddr;

use crate::params::RouterParams;
use crate::types::{Family, is_link_local};
use crate::wire::AddressList;

/// The most addresses that an advertisement can count (RFC 9568 section 5.2.5).
const MOST: usize = u8::MAX as usize;

/// A received list, against the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The same addresses, in any order.
    Same,
    /// Other addresses, of which this instance has at least one.
    Different,
    /// Not one address in common: the list of another virtual router.
    Foreign,
}

/// The configured addresses of one family.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwnAddresses {
    /// The advertised ones, in their order.
    advertised: Vec<IpAddr>,
    /// The advertised ones, sorted.
    sorted: Vec<IpAddr>,
    /// All of the family, sorted, including those that are not advertised (keepalived:
    /// `virtual_ipaddress_excluded`): a peer may advertise them.
    all: Vec<IpAddr>,
    /// Whether one of the advertised addresses is link-local.
    has_link_local: bool,
}

impl OwnAddresses {
    pub(super) fn new(params: &RouterParams, family: Family) -> Self {
        let advertised: Vec<IpAddr> = params.advertised(family).collect();
        let mut sorted = advertised.clone();
        sorted.sort_unstable();
        let configured = params.addresses.iter().map(|address| address.address);
        let mut all: Vec<IpAddr> = configured
            .filter(|address| Family::of(*address) == family)
            .collect();
        all.sort_unstable();
        Self {
            has_link_local: advertised.iter().copied().any(is_link_local),
            advertised,
            sorted,
            all,
        }
    }

    /// Whether one of the advertised addresses is link-local.
    pub(super) const fn has_link_local(&self) -> bool {
        self.has_link_local
    }

    /// Compares a list of this family that `source` sent.
    pub(super) fn compare(&self, source: IpAddr, theirs: AddressList<'_>) -> Comparison {
        let listed = self.counted(source, theirs);
        if listed.clone().eq(self.advertised.iter().copied()) {
            return Comparison::Same;
        }
        let mut buffer = [IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED); MOST];
        let mut len = 0;
        for (slot, address) in buffer.iter_mut().zip(listed) {
            *slot = address;
            len += 1;
        }
        let sorted = &mut buffer[..len];
        sorted.sort_unstable();
        if *sorted == *self.sorted {
            return Comparison::Same;
        }
        let is_known = |address: &IpAddr| self.all.binary_search(address).is_ok();
        // A list of no more than the sender's own address says nothing of others, and without an address here
        // every list may be meant.
        if sorted.is_empty() || self.all.is_empty() || sorted.iter().any(is_known) {
            Comparison::Different
        } else {
            Comparison::Foreign
        }
    }

    /// The advertised addresses that a received list leaves out.
    pub(super) fn missing_in(&self, theirs: AddressList<'_>) -> impl Iterator<Item = IpAddr> {
        let mut listed: Vec<IpAddr> = theirs.iter().collect();
        listed.sort_unstable();
        let advertised = self.advertised.iter().copied();
        advertised.filter(move |own| listed.binary_search(own).is_err())
    }

    /// The addresses of a received list that this instance does not advertise.
    pub(super) fn additional_in<'a>(
        &'a self,
        theirs: AddressList<'a>,
    ) -> impl Iterator<Item = IpAddr> + 'a {
        theirs
            .iter()
            .filter(|theirs| self.sorted.binary_search(theirs).is_err())
    }

    /// A received list without the address of its sender: the link-local one with which a list of IPv6
    /// begins where none is configured (RFC 9568 section 5.2.9), and the only one of a router that advertises
    /// no address.
    fn counted<'a>(
        &self,
        source: IpAddr,
        theirs: AddressList<'a>,
    ) -> impl Iterator<Item = IpAddr> + Clone + 'a {
        let of_sender = theirs.family() == Family::V6 && !self.has_link_local;
        let begins_so = || theirs.iter().next().is_some_and(is_link_local);
        let is_filler = || self.sorted.is_empty() && theirs.iter().eq([source]);
        theirs
            .iter()
            .skip(usize::from(of_sender && begins_so() || is_filler()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::params::AddressOptions;
    use crate::types::{InterfaceAddress, Vrid};

    fn own(advertised: &[&str], unadvertised: &[&str]) -> OwnAddresses {
        let addresses = advertised.iter().chain(unadvertised);
        let addresses: Arc<[InterfaceAddress]> = addresses
            .map(|address| address.parse().expect("an address with its prefix"))
            .collect();
        let family = addresses[0].family();
        let mut params =
            RouterParams::new("eth1".into(), Vrid::new(51).expect("a VRID"), addresses);
        let options = unadvertised.iter().map(|address| {
            let address: InterfaceAddress = address.parse().expect("an address with its prefix");
            let options = AddressOptions {
                advertise: false,
                ..AddressOptions::default()
            };
            (address.address, options)
        });
        params.options = Arc::new(options.collect());
        OwnAddresses::new(&params, family)
    }

    #[test]
    fn received_list_is_same_in_any_order_and_foreign_without_common_address() {
        let ours = own(&["10.0.0.1/24", "10.0.0.2/24"], &["10.0.0.9/24"]);
        let compare = |last: &[u8]| {
            let theirs: Vec<[u8; 4]> = last.iter().map(|last| [10, 0, 0, *last]).collect();
            ours.compare([10, 0, 0, 3].into(), AddressList::new(&theirs))
        };
        assert_eq!(compare(&[1, 2]), Comparison::Same);
        assert_eq!(compare(&[2, 1]), Comparison::Same);
        assert_eq!(compare(&[1]), Comparison::Different);
        assert_eq!(compare(&[1, 1]), Comparison::Different);
        assert_eq!(compare(&[3, 2]), Comparison::Different);
        assert_eq!(
            compare(&[9]),
            Comparison::Different,
            "not advertised here, and ours"
        );
        assert_eq!(compare(&[3]), Comparison::Foreign);
        assert_eq!(compare(&[3, 4, 5]), Comparison::Foreign);
    }

    #[test]
    fn link_local_address_of_sender_is_not_compared() {
        let ours = own(&["2001:db8::1/64"], &[]);
        let link_local: [u8; 16] = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7).octets();
        let global = |last| core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).octets();
        let compare =
            |theirs: &[[u8; 16]]| ours.compare(link_local.into(), AddressList::new_v6(theirs));
        assert_eq!(compare(&[link_local, global(1)]), Comparison::Same);
        assert_eq!(compare(&[link_local]), Comparison::Different);
        assert_eq!(compare(&[link_local, global(2)]), Comparison::Foreign);
    }

    #[test]
    fn sender_alone_is_an_empty_list_where_none_is_advertised() {
        let source = IpAddr::from([10, 0, 0, 3]);
        let compare = |ours: &OwnAddresses, last: &[u8]| {
            let theirs: Vec<[u8; 4]> = last.iter().map(|last| [10, 0, 0, *last]).collect();
            ours.compare(source, AddressList::new(&theirs))
        };
        let unadvertised = own(&[], &["10.0.0.9/24"]);
        for ours in [&OwnAddresses::default(), &unadvertised] {
            assert_eq!(compare(ours, &[]), Comparison::Same);
            assert_eq!(compare(ours, &[3]), Comparison::Same);
        }
        assert_eq!(compare(&unadvertised, &[9]), Comparison::Different);
        assert_eq!(compare(&unadvertised, &[4]), Comparison::Foreign);
        // Nothing shows that they do not belong together.
        assert_eq!(
            compare(&OwnAddresses::default(), &[4]),
            Comparison::Different
        );
        let v6: [u8; 16] = core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets();
        let none = OwnAddresses::default();
        let of_sender = none.compare(v6.into(), AddressList::new_v6(&[v6]));
        assert_eq!(of_sender, Comparison::Same, "a global source");
    }

    #[test]
    fn differences_name_missing_and_additional_addresses() {
        let ours = own(&["10.0.0.1/24", "10.0.0.2/24"], &[]);
        let theirs = [[10, 0, 0, 2], [10, 0, 0, 3]];
        let theirs = AddressList::new(&theirs);
        let texts = |addresses: Vec<IpAddr>| -> Vec<String> {
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(ours.missing_in(theirs).collect()), ["10.0.0.1"]);
        assert_eq!(texts(ours.additional_in(theirs).collect()), ["10.0.0.3"]);
    }
}
