//! The turn of a node, without a kernel.
//!
//! - [`node`]: the turn.
//! - [`host`]: the machine as a node needs it. The daemon and the simulation implement it.
//! - [`mirror`]: what the kernel holds as far as known.
//! - [`plan`]: compares what the engine wants with the mirror and gives ordered changes.
//! - [`device`]: the same for interfaces with virtual MAC addresses, [`routing`] for routes and rules,
//!   [`lvs`] for the sync thread of IPVS.
//! - [`drop_rules`]: which addresses packets are refused to.
//! - [`listeners`]: the interfaces and families at which routers listen.
//! - [`pacer`]: announcements that leave one after another.
//! - [`cleanup`]: what a dead daemon left.

pub mod cleanup;
pub mod device;
pub mod drop_filter;
pub mod drop_rules;
pub mod host;
pub mod listeners;
pub mod lvs;
pub mod mirror;
pub mod node;
pub mod pacer;
pub mod plan;
pub mod routing;
