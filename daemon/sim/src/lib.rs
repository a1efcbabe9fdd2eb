//! A cluster of engines in a simulated world, and the laws that hold in it.
//!
//! Everything comes from a [`Scenario`]: the same one gives the same run, event by event. The hosts
//! run the engine of the daemon and its `plan`; the clocks, the kernels, the networks and the other
//! makes of routers are models. After every turn of a host the laws are looked at ([`Law`]), and
//! those of the end as soon as nothing has happened for as long as the protocol needs.

mod campaign;
mod clock;
mod coverage;
mod foreign;
mod forge;
mod generate;
mod hearing;
mod host;
mod janitor;
mod junk;
mod kernel;
mod laws;
mod machine;
mod network;
mod notifier;
pub mod resources;
pub mod scenario;
mod shrink;
mod witness;
mod world;

pub use campaign::{Campaign, Findings, Until};
pub use coverage::{Coverage, Event, Kind};
pub use generate::{from_bytes, from_seed};
pub use laws::{Broken, Law};
pub use scenario::Scenario;
pub use shrink::shrink;
pub use world::{MAX_HOSTS, Outcome, SEGMENTS, run};
