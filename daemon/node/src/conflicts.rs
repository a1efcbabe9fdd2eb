//! Claims of virtual addresses by ARP and neighbour discovery, counted by host before the node receives them,
//! so that a flood costs the node a few inputs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp_proto::{AddressConflict, InterfaceIndex, MacAddress};

use crate::listeners::Defended;

/// Number of different claims that are handed over together at most. Further ones are not counted.
const CAPACITY: usize = 64;

/// Claims since the last [`take`](Self::take).
#[derive(Debug, Default)]
pub struct Conflicts {
    defended: Defended,
    claims: BTreeMap<(InterfaceIndex, IpAddr, MacAddress), u64>,
}

impl Conflicts {
    /// Counts only claims of `defended` from now on.
    pub fn defend(&mut self, defended: Defended) {
        self.defended = defended;
        let defended = &self.defended;
        self.claims
            .retain(|(interface, address, _), _| defended.contains(&(*interface, *address)));
    }

    /// Counts a packet that arrived at an interface and gives `mac` for `address`. Packets for other
    /// addresses pass the filters of the sockets, too.
    pub fn record(&mut self, interface: InterfaceIndex, address: IpAddr, mac: MacAddress) {
        let claim = (interface, address, mac);
        let has_room = self.claims.len() < CAPACITY || self.claims.contains_key(&claim);
        if has_room && self.defended.contains(&(interface, address)) {
            *self.claims.entry(claim).or_default() += 1;
        }
    }

    /// Removes and returns the claims.
    pub fn take(&mut self) -> Vec<AddressConflict> {
        let claims = std::mem::take(&mut self.claims).into_iter();
        claims
            .map(|((interface, address, mac), packets)| AddressConflict {
                interface,
                address,
                mac,
                packets,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH: InterfaceIndex = InterfaceIndex(2);

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn claims_are_counted_by_host_and_address() {
        let (one, other) = (MacAddress([2; 6]), MacAddress([4; 6]));
        let mut conflicts = Conflicts::default();
        conflicts.record(ETH, address(1), one);
        conflicts.defend([(ETH, address(1)), (ETH, address(2))].into());
        conflicts.record(InterfaceIndex(3), address(1), one);
        conflicts.record(ETH, address(3), one);
        assert_eq!(conflicts.take(), [], "none of them is defended there");

        for (last, mac) in [(1, one), (1, other), (2, one), (1, one)] {
            conflicts.record(ETH, address(last), mac);
        }
        let claim = |last, mac, packets| AddressConflict {
            interface: ETH,
            address: address(last),
            mac,
            packets,
        };
        let expected = [claim(1, one, 2), claim(1, other, 1), claim(2, one, 1)];
        assert_eq!(conflicts.take(), expected);
        assert_eq!(conflicts.take(), []);

        conflicts.record(ETH, address(1), one);
        conflicts.defend([(ETH, address(2))].into());
        assert_eq!(conflicts.take(), []);
    }

    #[test]
    fn flood_of_invented_hosts_is_bounded() {
        let mut conflicts = Conflicts::default();
        conflicts.defend([(ETH, address(1))].into());
        for number in 0..100_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            conflicts.record(ETH, address(1), MacAddress([2, 0, a, b, c, d]));
        }
        assert_eq!(conflicts.take().len(), CAPACITY);
    }
}
