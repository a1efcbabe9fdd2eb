//! Routes and rules that follow the masters: which ones have to come and go.
//!
//! The parts are those of the addresses: [`mirror`] knows what is there, and [`plan`](mod@plan) compares
//! it with what is wanted. There is one difference. The kernel takes routes away by itself when their
//! device goes down or their source leaves, and of those of IPv4 it says nothing. So news are only a
//! reason to look: whoever hears some takes a new dump and has the mirror tell what is different.

pub mod mirror;
pub mod plan;
