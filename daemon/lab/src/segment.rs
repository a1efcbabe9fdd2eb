//! Segments: one broadcast domain each, as an unmanaged switch.
//!
//! A segment is a network namespace that contains only a kernel bridge and one port for each
//! attached host. A capture on a segment receives the frames that the switch forwards.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::cable::Cable;
use crate::capture::{Capture, Filter};
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::namespace::Namespaces;
use crate::netlink::Netlink;
use crate::switch::Switch;

const BRIDGE: &str = "br0";

/// A switch that joins hosts. Clones are the same switch; it is deleted with the last clone and the
/// last attached cable.
#[derive(Clone, Debug)]
pub struct Segment(Arc<Switch>);

impl Segment {
    /// Creates a switch. The name appears in messages.
    ///
    /// # Errors
    /// If the kernel rejects a request, for example because [`crate::isolate()`] was not called.
    pub fn new(name: &str) -> Result<Self> {
        let namespaces = Namespaces::create(name, &[])?;
        // The switch is no IPv6 host: without this its bridge would send router solicitations and
        // neighbour discovery on the segment. A kernel without IPv6 has no such file.
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

    /// Attaches `host` with a new network card `interface`. Its configured address is `address`,
    /// for example `192.168.224.11/24`, and is restored at each boot.
    ///
    /// # Errors
    /// If the address cannot be parsed, or the kernel rejects a request, for example a duplicate
    /// name.
    pub fn attach(&self, host: &Host, interface: &str, address: &str) -> Result<Cable> {
        let address = parse_network(address)?;
        let cable = Cable::new(
            Arc::clone(&self.0),
            host.namespaces(),
            host.is_on(),
            interface,
            address,
        )?;
        cable.configure(host.netlink())?;
        host.add_cable(cable.clone());
        Ok(cable)
    }

    /// Records the frames that the switch forwards and `filter` accepts.
    ///
    /// # Errors
    /// If the packet socket cannot be opened.
    pub fn capture(&self, filter: Filter) -> Result<Capture> {
        Capture::start(&self.0.namespaces, self.0.bridge, filter, None)
    }

    /// As [`Segment::capture`], for measurements: frames are collected only every `pace`, so that
    /// no frame wakes a thread while the daemons work. [`Frame::wall`](crate::Frame::wall) stays
    /// exact.
    ///
    /// # Errors
    /// If the packet socket cannot be opened.
    pub fn capture_at_leisure(&self, filter: Filter, pace: Duration) -> Result<Capture> {
        Capture::start(&self.0.namespaces, self.0.bridge, filter, Some(pace))
    }

    /// Name of the segment.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

fn parse_network(text: &str) -> Result<(IpAddr, u8)> {
    let doing = format!("parsing the address {text:?}");
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(Error::new(
            doing,
            "expected address/prefix, for example 192.168.224.11/24",
        ));
    };
    Ok((
        address.parse().doing(doing.as_str())?,
        prefix.parse().doing(doing)?,
    ))
}
