//! Simulation of a cluster of VRRP engines, and the invariants that hold in it.
//!
//! Everything comes from a [`Scenario`]: the same scenario gives the same run, event by event. The
//! hosts run the daemon's engine and its `plan`. The clocks, the kernels, the networks and the routers
//! of other makes are models. The invariants of a host ([`Invariant`]) are checked after each of its
//! turns. The invariants of the final state are checked as soon as nothing has happened for as long as
//! the protocol needs to settle.

mod admission;
mod campaign;
mod clock;
mod coverage;
mod device_reaper;
mod foreign;
mod forge;
mod generate;
mod host;
mod invariants;
mod junk;
mod kernel;
mod machine;
mod network;
mod notifier;
mod oracle;
mod records;
pub mod resources;
pub mod scenario;
mod shrink;
mod world;

pub use campaign::{Campaign, Findings, Until};
pub use coverage::{Coverage, Event, Kind};
pub use generate::{from_bytes, from_seed};
pub use invariants::{Invariant, Violation};
pub use scenario::Scenario;
pub use scenario::{MAX_HOSTS, SEGMENTS};
pub use shrink::shrink;
pub use world::{Outcome, run};
