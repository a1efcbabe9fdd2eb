//! What the fuzzer does with bytes: a function for each target, which panics when something is not
//! as it has to be.
//!
//! libFuzzer calls them from the programs in `libfuzzer/`, a workspace of its own; what it has found
//! worth keeping lies in `corpus/`, and `cargo test` plays it again on any toolchain.

mod advert;
mod choices;
mod configuration;
mod engine;
mod scenario;

pub use advert::advert;
pub use configuration::configuration;
pub use engine::engine;
pub use scenario::scenario;
