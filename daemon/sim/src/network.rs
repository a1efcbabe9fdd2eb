//! The networks between the hosts.

use std::collections::BTreeSet;

/// Someone who sends and receives: a host by its number, or a foreign router after them.
pub(crate) type Station = u8;

/// How long a packet takes where nobody says otherwise, in microseconds.
pub(crate) const USUAL_DELAY: u32 = 500;

/// One network.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Packets lost, in percent.
    pub(crate) loss: u8,
    /// Packets delivered twice, in percent.
    pub(crate) duplicates: u8,
    /// Packets take up to this long, in microseconds.
    pub(crate) delay: u32,
    /// Who is on the other side, a bit for each station.
    pub(crate) side: u16,
    /// Who does not hear whom: (from, to).
    pub(crate) muted: BTreeSet<(Station, Station)>,
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            loss: 0,
            duplicates: 0,
            delay: USUAL_DELAY,
            side: 0,
            muted: BTreeSet::new(),
        }
    }
}

impl Segment {
    /// Whether what one says reaches another, unless it is lost.
    pub(crate) fn reaches(&self, from: Station, to: Station) -> bool {
        self.side_of(from) == self.side_of(to) && !self.muted.contains(&(from, to))
    }

    /// Whether it delivers whatever it can.
    pub(crate) fn is_reliable(&self) -> bool {
        self.loss == 0 && self.delay <= USUAL_DELAY && self.muted.is_empty()
    }

    /// On which side a station is.
    pub(crate) const fn side_of(&self, station: Station) -> bool {
        self.side >> (station % 16) & 1 == 1
    }
}
