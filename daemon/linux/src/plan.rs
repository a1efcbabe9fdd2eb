//! From what is wanted to what is to be done. Pure.
use std::fmt;

use vrrp_proto::{Desired, InterfaceAddress, InterfaceIndex};

use crate::mirror::Mirror;

/// One change of the kernel's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The interface gets the address.
    Add {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
    },
    /// The interface loses the address.
    Delete {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { interface, address } => {
                write!(f, "add {address} to interface {}", interface.0)
            }
            Self::Delete { interface, address } => {
                write!(f, "delete {address} from interface {}", interface.0)
            }
        }
    }
}

/// Appends to `changes` what makes the kernel hold what is `desired`.
pub fn plan(_desired: &Desired, _mirror: &Mirror, _changes: &mut Vec<Change>) {
    todo!()
}

/// Appends to `changes` the removal of all addresses that bear our mark and are not `wanted`.
pub fn strays(
    _mirror: &Mirror,
    _wanted: impl Fn(InterfaceIndex, InterfaceAddress) -> bool,
    _changes: &mut Vec<Change>,
) {
    todo!()
}
