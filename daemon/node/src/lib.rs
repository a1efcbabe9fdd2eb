//! Logic of one node: everything between the protocol engine and the kernel's interface, without the kernel
//! itself.
//!
//! - [`node`]: the turn, which is one iteration of the node's event loop.
//! - [`host`]: the traits for the machine that a node runs on. The daemon and the simulation implement
//!   them.
//! - [`mirror`]: the node's copy of the kernel's links and addresses.
//! - `second_look`: when the engine's requests are repeated and the mirror is read again.
//! - [`plan`]: compares the engine's desired addresses with the mirror and returns ordered changes;
//!   [`execution`] carries them out.
//! - [`device`]: the same for interfaces with virtual MAC addresses, [`routing`] for routes and rules,
//!   [`lvs`] for the IPVS sync daemon.
//! - [`drop_filter`]: keeps the nf_tables table that drops packets to addresses with `acceptMode = false`;
//!   [`drop_rules`] computes its rules.
//! - `device_settings`: repairs what another program changed on interfaces with virtual MAC addresses.
//! - `own_sources`: has the kernel deliver advertisements whose source is an address of this host.
//! - [`listeners`]: the interfaces and families on which routers receive advertisements.
//! - [`conflicts`]: counts the claims of virtual addresses by other hosts.
//! - `witness`: watches the wire for advertisements that this host drops.
//! - [`pacer`]: limits the rate of gratuitous ARP and unsolicited neighbour advertisements.
//! - [`cleanup`]: removes the addresses, interfaces, routes, rules and drop rules that a dead daemon left.

mod brake;
pub mod change;
pub mod cleanup;
pub mod conflicts;
pub mod device;
mod device_settings;
pub mod drop_filter;
pub mod drop_rules;
pub mod execution;
#[cfg(test)]
mod fake;
pub mod host;
pub mod listeners;
pub mod lvs;
pub mod mirror;
pub mod node;
mod own_sources;
pub mod pacer;
pub mod plan;
mod rejections;
mod reports;
pub mod routing;
mod second_look;
mod unsent;
mod witness;
