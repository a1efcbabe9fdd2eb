//! Changes of the kernel's addresses.

use std::fmt;
use std::io;

use vrrp_proto::params::AddressForm;
use vrrp_proto::{InterfaceAddress, InterfaceIndex};

/// Change of the kernel's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds the address to the interface.
    Add {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Form of the address: scope, label and the other attributes that the kernel stores with it.
        form: AddressForm,
    },
    /// Deletes the address from the interface.
    Delete {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
    },
}

impl Change {
    /// Returns the addition of an address in the default form.
    pub fn add(interface: InterfaceIndex, address: InterfaceAddress) -> Self {
        Self::Add {
            interface,
            address,
            form: AddressForm::default(),
        }
    }

    /// Interface of the change.
    pub const fn interface(&self) -> InterfaceIndex {
        match self {
            Self::Add { interface, .. } | Self::Delete { interface, .. } => *interface,
        }
    }

    /// Address to add or delete.
    pub const fn address(&self) -> InterfaceAddress {
        match self {
            Self::Add { address, .. } | Self::Delete { address, .. } => *address,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add {
                interface, address, ..
            } => {
                write!(f, "add {address} to interface {}", interface.0)
            }
            Self::Delete { interface, address } => {
                write!(f, "delete {address} from interface {}", interface.0)
            }
        }
    }
}

/// Change that the kernel rejected.
#[derive(Debug, thiserror::Error)]
#[error("cannot {change}: {error}")]
pub struct Failure {
    /// The change.
    pub change: Change,
    /// Reason: EPERM, ENODEV, ENOBUFS, and so on.
    #[source]
    pub error: io::Error,
}

impl Failure {
    /// Returns the failure of a change.
    pub fn new(change: Change, error: &io::Error) -> Self {
        let error = error
            .raw_os_error()
            .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        Self { change, error }
    }
}
