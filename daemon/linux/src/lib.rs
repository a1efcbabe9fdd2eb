//! The kernel and only the kernel: everything that touches the world, thin, and nothing that
//! decides.
//!
//! The main loop of the daemon is one thread that waits on a [`poller::Poller`] and never blocks:
//! every descriptor here is non-blocking and closed on exec. It is made of these parts:
//!
//! - [`clock`]: what time it is, and the one timer.
//! - [`socket`]: advertisements in and out, one raw socket per interface.
//! - [`announce`]: gratuitous ARP and neighbour advertisements, one packet socket for all interfaces.
//! - [`kernel`]: the kernel as [`vrrp_node`] asks it for something: addresses by [`request`], interfaces
//!   with virtual MAC addresses by [`device`], [`routing`], and packets that are refused by nf_tables.
//! - [`monitor`]: what others change of links and addresses.
//! - [`processes`]: those of the host, for the trackers.
//! - [`echo`]: whether another host is there, for the daemon's trackers.
//! - [`lvs`]: the sync thread of IPVS; slow, and so for another thread.
//! - [`reach`]: whether there is a route to somewhere, and whether its gateway answers, for the same.
//! - [`namespace`] and [`capability`]: before the first of it.
//!
//! Steady state allocates nothing: batches and buffers are kept and reused.

pub mod announce;
mod batch;
pub mod capability;
pub mod clock;
pub mod device;
mod drop_filter;
pub mod echo;
mod filter;
pub mod kernel;
pub mod lvs;
pub mod monitor;
pub mod namespace;
mod netlink;
mod nftables;
pub mod poller;
pub mod processes;
pub mod reach;
pub mod request;
pub mod routing;
pub mod socket;
mod sys;
