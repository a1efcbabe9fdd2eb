//! A VRRP daemon for Linux.
fn main() {}
