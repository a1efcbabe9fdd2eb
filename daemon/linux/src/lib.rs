//! The kernel and only the kernel: everything that touches the world, thin, and nothing that
//! decides.
//!
//! The main loop of the daemon is one thread that waits on a [`poller::Poller`] and never blocks:
//! every descriptor here is non-blocking and closed on exec. It is made of these parts:
//!
//! - [`clock`]: what time it is, and the one timer.
//! - [`socket`]: advertisements in and out, one raw socket per interface.
//! - [`announce`]: gratuitous ARP, one packet socket for all interfaces; [`pacer`] lets it leave one
//!   after another where somebody wants that.
//! - [`mirror`]: what the kernel holds as far as known, fed by [`monitor`] (what changes) and by
//!   the dumps of [`request`] (what is).
//! - [`plan`]: pure; compares what the engine wants with the mirror and gives ordered changes,
//!   which [`request`] carries out.
//! - [`device`]: the interfaces with virtual MAC addresses, planned and made.
//! - [`routing`]: the same for routes and rules, as long as there are any.
//! - [`refusals`]: pure; which addresses packets are refused to. [`refuse`] has it done by nf_tables.
//! - [`processes`]: those of the host, for the trackers.
//! - [`echo`]: whether another host is there, for the daemon's trackers.
//! - [`lvs`]: the sync thread of IPVS, planned and started; slow, and so for another thread.
//! - [`reach`]: whether there is a route to somewhere, and whether its gateway answers, for the same.
//! - [`namespace`], [`cleanup`] and [`capability`]: before the first and after the last of it.
//!
//! Steady state allocates nothing: batches and buffers are kept and reused.

pub mod announce;
mod batch;
pub mod capability;
pub mod cleanup;
pub mod clock;
pub mod device;
pub mod echo;
mod filter;
pub mod lvs;
pub mod mirror;
pub mod monitor;
pub mod namespace;
mod netlink;
mod nftables;
pub mod pacer;
pub mod plan;
pub mod poller;
pub mod processes;
pub mod reach;
pub mod refusals;
pub mod refuse;
pub mod request;
pub mod routing;
pub mod socket;
mod sys;
