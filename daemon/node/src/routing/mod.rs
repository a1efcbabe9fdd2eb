//! Routes and rules that are installed on the master: planning and mirror.
//!
//! [`mirror`] holds the kernel's routes and rules with the daemon's mark, and [`plan`](mod@plan) compares
//! them with the desired ones, as for addresses. There is one difference. The kernel deletes routes when
//! their device goes down or their source address is deleted, and sends no event for IPv4 routes. So an
//! event is only a reason for a new dump, which the mirror compares with its contents.

pub mod change;
pub mod mirror;
pub mod plan;
