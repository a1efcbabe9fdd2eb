//! VRRP without I/O: wire formats, the state machine of a virtual router, trackers, the engine of a node,
//! and the queues of notifications and resources.
//!
//! The crate reads no clock, opens no file or socket, starts no thread, and iterates in no order that
//! could differ from run to run. The caller passes time and packets to [`Engine::handle`], carries out
//! the outputs of [`Engine::poll`], and calls again at the time that [`Engine::poll_timeout`] returns.

pub mod checkpoint;
mod deadlines;
mod engine;
mod events;
#[cfg(any(test, feature = "invariants"))]
pub mod invariants;
mod limiter;
pub mod notify;
pub mod operator;
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
    AddressConflict, Advertisement, Announcement, Desired, DesiredDevice, DesiredLvs,
    DesiredRouting, DeviceState, HandOverEnd, Input, Link, Output, Report, Solicitation,
    Transition,
};
pub use limiter::Matter;
pub use params::LvsRole;
pub use reasons::{Cause, Due, FaultReason, Loss, Unreceived};
pub use time::{Human, Instant};
pub use types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress,
    ParseAddressError, Password, Priority, State, Version, Vrid, is_link_local,
};
pub use wire::Packet;
