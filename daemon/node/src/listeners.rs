//! Interfaces and families on which routers receive advertisements, and what else they listen for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vrrp_proto::{Engine, Family, InterfaceIndex, Vrid};

/// Endpoint of a socket: interface and family.
pub type Path = (InterfaceIndex, Family);

/// VRIDs for each endpoint.
pub type Listeners = BTreeMap<Path, VridSet>;

/// VRIDs for each interface whose wire is watched.
pub type Watched = BTreeMap<InterfaceIndex, VridSet>;

/// Virtual addresses of masters, with the interfaces at which claims of other hosts arrive.
pub type Defended = BTreeSet<(InterfaceIndex, IpAddr)>;

/// Set of the VRIDs on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VridSet {
    words: [u32; 8],
}

impl VridSet {
    /// Adds `vrid`.
    pub fn insert(&mut self, vrid: Vrid) {
        let (word, bit) = Self::place(vrid);
        self.words[word] |= bit;
    }

    /// Whether the set contains `vrid`.
    pub fn contains(&self, vrid: Vrid) -> bool {
        let (word, bit) = Self::place(vrid);
        self.words[word] & bit != 0
    }

    /// Bit set as eight words, one bit for each VRID from 0 to 255, the lowest VRID of a word in its lowest
    /// bit.
    pub const fn words(&self) -> [u32; 8] {
        self.words
    }

    fn place(vrid: Vrid) -> (usize, u32) {
        (usize::from(vrid.get() / 32), 1 << (vrid.get() % 32))
    }
}

impl FromIterator<Vrid> for VridSet {
    fn from_iter<T: IntoIterator<Item = Vrid>>(vrids: T) -> Self {
        let mut set = Self::default();
        set.extend(vrids);
        set
    }
}

impl Extend<Vrid> for VridSet {
    fn extend<T: IntoIterator<Item = Vrid>>(&mut self, vrids: T) {
        vrids.into_iter().for_each(|vrid| self.insert(vrid));
    }
}

/// Collects the endpoints on which the routers of an engine receive advertisements.
pub(crate) fn listeners(engine: &Engine) -> Listeners {
    let mut listeners = Listeners::new();
    for (interface, family, vrid) in engine.listeners() {
        let set = listeners.entry((interface, family)).or_default();
        set.insert(vrid);
    }
    listeners
}
