//! VRRP without I/O: wire formats, one virtual router, trackers, the engine of a node, and the queues
//! of those who are told what becomes of its routers.
//!
//! Nothing here reads a clock, opens a file or a socket, starts a thread, or iterates in an order
//! that could differ from run to run. Time and packets come in through
//! [`Engine::handle`], what is to be done comes out of [`Engine::poll`], and
//! [`Engine::poll_timeout`] says when to come back and why.

mod deadlines;
mod engine;
mod events;
#[cfg(any(test, feature = "promises"))]
pub mod invariants;
mod limiter;
pub mod notify;
pub mod params;
mod reasons;
mod replay;
pub mod resources;
mod router;
pub mod routing;
pub mod snapshot;
mod time;
mod track;
mod types;
pub mod wire;

pub use engine::Engine;
pub use events::{
    Advertisement, Announcement, Desired, DesiredDevice, DesiredLvs, DesiredRouting, DeviceState,
    Due, Input, Link, LvsRole, Output, Packet, Report, Transition,
};
pub use reasons::{Cause, FaultReason};
pub use time::{Human, Instant};
pub use types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress,
    ParseAddressError, Password, Priority, State, Version, Vrid, is_link_local,
};
