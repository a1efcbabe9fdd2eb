//! Fuzz targets: each is a function that takes bytes and panics when the tested code misbehaves.
//!
//! libFuzzer calls the functions from the programs in `libfuzzer/`, a workspace of its own. The inputs
//! worth keeping are in `corpus/`, and `cargo test` replays them with any toolchain.

mod advert;
mod choices;
mod command;
mod configuration;
mod engine;
mod keepalived;
mod scenario;

pub use advert::advert;
pub use command::command;
pub use configuration::configuration;
pub use engine::engine;
pub use keepalived::keepalived;
pub use scenario::scenario;
