//! A segment: one broadcast domain, as a switch without a management interface.
//!
//! It is a network namespace of its own that holds nothing but a kernel bridge and one port for
//! each host plugged in. A capture on it sees what the switch forwards.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::cable::Cable;
use crate::capture::{Capture, Filter};
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::namespace::Namespaces;
use crate::netlink::Netlink;

const BRIDGE: &str = "br0";

/// A switch that joins hosts. Clones are the same switch; it is gone with the last clone and the
/// last cable plugged into it.
#[derive(Clone, Debug)]
pub struct Segment(Arc<Switch>);

/// What cables share of their segment.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) name: String,
    pub(crate) namespaces: Namespaces,
    pub(crate) netlink: Netlink,
    pub(crate) bridge: u32,
    ports: AtomicU32,
}

impl Segment {
    /// A new switch. The name is for messages.
    ///
    /// # Errors
    /// When the kernel refuses, for example because [`crate::isolate()`] was not called.
    pub fn new(name: &str) -> Result<Self> {
        let namespaces = Namespaces::create(name, &[])?;
        // The switch is no IPv6 host: it should not talk on its own segment. Without IPv6 in the
        // kernel there is nothing to switch off.
        namespaces.run(|| {
            for scope in ["all", "default"] {
                let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
            }
        })?;
        let netlink = Netlink::open(&namespaces)?;
        let bridge = netlink.add_bridge(BRIDGE)?;
        let switch = Switch {
            name: name.to_owned(),
            namespaces,
            netlink,
            bridge,
            ports: AtomicU32::new(0),
        };
        Ok(Self(Arc::new(switch)))
    }

    /// Plugs `host` in with a new network card called `interface`, whose configured address (back
    /// after every boot) is `address`, for example `192.168.224.11/24`.
    ///
    /// # Errors
    /// When the address cannot be parsed, or the kernel refuses, for example a name twice.
    pub fn attach(&self, host: &Host, interface: &str, address: &str) -> Result<Cable> {
        let address = parse_network(address)?;
        let cable = Cable::new(Arc::clone(&self.0), host, interface, address)?;
        host.add_cable(cable.clone());
        Ok(cable)
    }

    /// Records what the switch forwards, as far as `filter` lets it through.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn capture(&self, filter: Filter) -> Result<Capture> {
        Capture::start(&self.0.namespaces, self.0.bridge, filter, None)
    }

    /// As [`Segment::capture`], for measuring: frames are collected only every `pace`, so that none
    /// wakes a thread while the daemons are at work. [`Frame::wall`](crate::Frame::wall) is exact.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn capture_at_leisure(&self, filter: Filter, pace: Duration) -> Result<Capture> {
        Capture::start(&self.0.namespaces, self.0.bridge, filter, Some(pace))
    }

    /// The segment's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl Switch {
    /// A number for the next port, unique in this switch.
    pub(crate) fn next_port(&self) -> u32 {
        self.ports.fetch_add(1, Ordering::Relaxed)
    }
}

fn parse_network(text: &str) -> Result<(IpAddr, u8)> {
    let doing = format!("reading the address {text:?}");
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(Error::new(doing, "it must look like 192.168.224.11/24"));
    };
    Ok((
        address.parse().doing(doing.as_str())?,
        prefix.parse().doing(doing)?,
    ))
}
