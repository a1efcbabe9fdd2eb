//! The system calls of the daemon: sockets, netlink, timers, epoll and /proc. The crate carries out
//! what [`vrrp_node`] plans and takes no decision.
//!
//! The main loop of the daemon is one thread that waits on a [`poller::Poller`] and never blocks: every
//! descriptor here is non-blocking and close-on-exec.
//!
//! - [`clock`]: the current time and the timer of the loop.
//! - [`socket`]: sends and receives advertisements, by one raw socket per interface and family.
//! - [`witness`]: records what arrives at an interface, also what this host drops before its sockets.
//! - [`conflict`]: hears other hosts that claim a virtual address by ARP or neighbour discovery.
//! - [`announce`]: sends gratuitous ARP and neighbour advertisements, by one packet socket for all
//!   interfaces.
//! - [`kernel`]: implements the kernel interface of [`vrrp_node`]: addresses by [`request`], interfaces
//!   with virtual MAC addresses by [`device`], routes and rules by [`routing`], drop rules by
//!   nf_tables.
//! - [`monitor`]: reports changes of links and addresses by other programs.
//! - [`processes`]: reports processes that start and exit, for the trackers.
//! - [`echo`]: pings a host, for the trackers.
//! - [`reach`]: watches a route and probes its gateway, for the trackers.
//! - [`lvs`]: starts and stops the IPVS sync daemons. The calls are slow, so they run on another
//!   thread.
//! - [`namespace`], [`claim`], [`capability`], [`seccomp`] and [`signal`]: run once, at startup.
//!
//! Steady state allocates nothing: batches and buffers are reused.

pub mod announce;
mod batch;
pub mod capability;
pub mod claim;
pub mod clock;
pub mod conflict;
pub mod device;
mod drop_filter;
pub mod echo;
mod filter;
pub mod ids;
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
pub mod seccomp;
pub mod signal;
pub mod socket;
mod sys;
pub mod witness;
