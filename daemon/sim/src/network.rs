//! Model of the networks between the hosts.

use std::collections::BTreeSet;

use vrrp_proto::Instant;

/// Number of a sender and receiver: first the hosts, then the foreign routers.
pub(crate) type Station = u8;

/// Default delay of a packet, in microseconds.
pub(crate) const USUAL_DELAY: u32 = 500;

/// One network.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Packet loss, in percent.
    pub(crate) loss: u8,
    /// Duplicated packets, in percent.
    pub(crate) duplicates: u8,
    /// Longest delay of a packet, in microseconds.
    pub(crate) delay: u32,
    /// Partition: one bit per station, set for the stations on the second side.
    pub(crate) side: u16,
    /// Time of the last change of these properties.
    pub(crate) changed_at: Instant,
    /// Pairs (from, to) between which packets are lost in this direction.
    pub(crate) muted: BTreeSet<(Station, Station)>,
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            loss: 0,
            duplicates: 0,
            delay: USUAL_DELAY,
            side: 0,
            changed_at: Instant::ZERO,
            muted: BTreeSet::new(),
        }
    }
}

impl Segment {
    /// Whether a packet from one station can reach another, apart from random loss.
    pub(crate) fn reaches(&self, from: Station, to: Station) -> bool {
        self.side_of(from) == self.side_of(to) && !self.muted.contains(&(from, to))
    }

    /// Restores the properties of a network without trouble.
    pub(crate) fn heal(&mut self) {
        *self = Self {
            changed_at: self.changed_at,
            ..Self::default()
        };
    }

    /// Whether the network delivers every packet that the partition allows, within the default delay.
    pub(crate) fn is_reliable(&self) -> bool {
        self.loss == 0 && self.delay <= USUAL_DELAY && self.muted.is_empty()
    }

    /// Side of the partition on which a station is.
    pub(crate) const fn side_of(&self, station: Station) -> bool {
        self.side >> (station % 16) & 1 == 1
    }
}
