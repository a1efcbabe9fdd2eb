//! VRRP without I/O: wire formats, one virtual router, trackers, the engine of a node, and the queues
//! of those who are told what becomes of its routers.
//!
//! Nothing here reads a clock, opens a file or a socket, starts a thread, or iterates in an order
//! that could differ from run to run. Time and packets come in through
//! [`Engine::handle`], what is to be done comes out of [`Engine::poll`], and
//! [`Engine::poll_timeout`] says when to come back and why.

mod border;
mod deadlines;
mod engine;
mod limiter;
pub mod notify;
pub mod params;
#[cfg(any(test, feature = "promises"))]
pub mod promises;
mod replay;
pub mod resources;
mod router;
pub mod routing;
pub mod snapshot;
mod time;
mod track;
mod types;
pub mod wire;

pub use border::{
    Advertisement, Announcement, Cause, Desired, DesiredDevice, DesiredLvs, DesiredRouting,
    DeviceState, Due, Input, Link, LvsRole, Obstacle, Output, Packet, Report, State, Transition,
};
pub use engine::Engine;
pub use time::{Human, Instant};
pub use types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress,
    ParseAddressError, Password, Priority, Version, Vrid, is_link_local,
};
