//! What the kernel holds, as far as known. Pure.
use vrrp_proto::{Input, InterfaceAddress, InterfaceIndex, Link};

use crate::plan::Change;

/// The number that marks our addresses in the kernel (IFA_PROTO, since Linux 5.18).
pub const ADDRESS_PROTOCOL: u8 = 0x56;

/// One thing that changed in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The link exists and is like this.
    Link(Link),
    /// The link is gone.
    LinkRemoved(InterfaceIndex),
    /// The interface has the address.
    AddressAdded(InterfaceIndex, Held),
    /// The interface no longer has the address.
    AddressRemoved(InterfaceIndex, InterfaceAddress),
}

/// An address that an interface holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: InterfaceAddress,
    /// Whether it bears our mark, [`ADDRESS_PROTOCOL`].
    pub ours: bool,
    /// Whether another one of the same network came first (IFA_F_SECONDARY).
    pub secondary: bool,
}

/// All links and IPv4 addresses at one time, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The links.
    pub links: Vec<Link>,
    /// The addresses.
    pub addresses: Vec<(InterfaceIndex, Held)>,
}

/// What the kernel holds, as far as known.
#[derive(Debug, Default)]
pub struct Mirror {
    _private: (),
}

impl Mirror {
    /// A mirror that knows of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what changed, and says what the engine should hear of it, if anything is new.
    pub fn apply(&mut self, _event: Event) -> Option<Input<'static>> {
        todo!()
    }

    /// Takes in all that is, at the start and when events were lost, and says what is new.
    pub fn replace(&mut self, _dump: Dump) -> Vec<Input<'static>> {
        todo!()
    }

    /// Takes in a change of our own that the kernel has carried out.
    pub fn applied(&mut self, _change: &Change) {
        todo!()
    }

    /// All links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::empty()
    }

    /// The link of that number.
    pub fn link(&self, _interface: InterfaceIndex) -> Option<&Link> {
        todo!()
    }

    /// The addresses of one interface in the kernel's order.
    pub fn addresses(&self, _interface: InterfaceIndex) -> Vec<Held> {
        todo!()
    }

    /// What is known of `address` on `interface`.
    pub fn held(&self, _interface: InterfaceIndex, _address: InterfaceAddress) -> Option<Held> {
        todo!()
    }
}
