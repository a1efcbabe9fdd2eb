//! A cluster of engines in a simulated world, and the laws that hold in it.
//!
//! Everything comes from a [`Scenario`]: the same one gives the same run, event by event. The hosts
//! run the engine of the daemon and its `plan`; the clocks, the kernels, the networks and the other
//! makes of routers are models. After every turn of a host the laws are looked at ([`Invariant`]), and
//! those of the end as soon as nothing has happened for as long as the protocol needs.

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
pub mod resources;
pub mod scenario;
mod shrink;
mod world;

pub use campaign::{Campaign, Findings, Until};
pub use coverage::{Coverage, Event, Kind};
pub use generate::{from_bytes, from_seed};
pub use invariants::{Invariant, Violation};
pub use scenario::Scenario;
pub use shrink::shrink;
pub use world::{MAX_HOSTS, Outcome, SEGMENTS, run};
