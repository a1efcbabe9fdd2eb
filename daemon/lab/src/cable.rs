//! Cables between a host's network card and a segment, and their impairments.
//!
//! A cable is a veth pair. Plugged in and without impairment, its segment end is a port of the
//! bridge, and the kernel alone forwards the frames. Pulled, the segment end is down, so the host
//! loses its carrier. Impaired, the port leaves the bridge, and a [`crate::relay`] forwards frames
//! between it and a second veth pair that replaces it as port:
//!
//! ```text
//! plugged in:  host ens33 ====== p0 [br0]
//! impaired:    host ens33 ====== p0 <relay> r0 ====== b0 [br0]
//! ```

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::Result;
use crate::impairment::Impairment;
use crate::journal::lock;
use crate::namespace::Namespaces;
use crate::netlink::Netlink;
use crate::relay::Relay;
use crate::switch::Switch;

/// Ports have interface indexes far from those in hosts: the kernel reports a lost carrier at once
/// only if the two ends of a veth pair differ in index, and otherwise up to a second late.
const PORT_INDEX: u32 = 10_000;
const BRIDGE_END_INDEX: u32 = 20_000;

/// Cable of one network card. Clones are the same cable, which exists as long as its host.
#[derive(Clone, Debug)]
pub struct Cable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    switch: Arc<Switch>,
    number: u32,
    interface: String,
    address: (IpAddr, u8),
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plugged: bool,
    powered: bool,
    relay: Option<Relay>,
}

impl Cable {
    pub(crate) fn new(
        switch: Arc<Switch>,
        host: &Namespaces,
        powered: bool,
        interface: &str,
        address: (IpAddr, u8),
    ) -> Result<Self> {
        let number = switch.next_port();
        let port = PORT_INDEX + number;
        switch
            .netlink
            .add_veth((&format!("p{number}"), port), (interface, host))?;
        switch.netlink.set_bridge(port, Some(switch.bridge))?;
        let state = State {
            plugged: true,
            powered,
            relay: None,
        };
        let cable = Self(Arc::new(Inner {
            switch,
            number,
            interface: interface.to_owned(),
            address,
            state: Mutex::new(state),
        }));
        cable.apply(&lock(&cable.0.state))?;
        Ok(cable)
    }

    /// Pulls the cable: the host loses its carrier and no frame passes.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn pull(&self) -> Result<()> {
        self.change(|state| state.plugged = false)
    }

    /// Plugs the cable back in.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn plug(&self) -> Result<()> {
        self.change(|state| state.plugged = true)
    }

    /// Sets the impairment of the cable; the default removes it.
    ///
    /// # Errors
    /// If the kernel rejects a request.
    pub fn set(&self, impairment: Impairment) -> Result<()> {
        let Inner { switch, number, .. } = &*self.0;
        let (port, bridge_end) = (PORT_INDEX + number, BRIDGE_END_INDEX + number);
        let mut state = lock(&self.0.state);
        if impairment.is_none() {
            if let Some(relay) = state.relay.take() {
                // Before the port returns to the bridge, or frames would take both ways.
                drop(relay);
                switch.netlink.delete_link(bridge_end)?;
                switch.netlink.set_bridge(port, Some(switch.bridge))?;
            }
            return Ok(());
        }
        if let Some(relay) = &state.relay {
            relay.set(impairment);
            return Ok(());
        }
        switch.netlink.set_bridge(port, None)?;
        let (bridge_name, relay_name) = (format!("b{number}"), format!("r{number}"));
        switch.netlink.add_veth(
            (&bridge_name, bridge_end),
            (&relay_name, &switch.namespaces),
        )?;
        let relay_end = switch.netlink.index_of(&relay_name)?;
        switch.netlink.set_up(relay_end, true)?;
        switch.netlink.set_up(bridge_end, true)?;
        switch.netlink.set_bridge(bridge_end, Some(switch.bridge))?;
        state.relay = Some(Relay::start(
            &switch.namespaces,
            port,
            relay_end,
            impairment,
        )?);
        Ok(())
    }

    /// Name of the network card in the host.
    pub fn interface(&self) -> &str {
        &self.0.interface
    }

    /// Configured address of the network card.
    pub fn address(&self) -> IpAddr {
        self.0.address.0
    }

    /// Records that the host was powered on or off: without power the host end of a real cable
    /// gives no carrier.
    pub(crate) fn set_power(&self, powered: bool) -> Result<()> {
        self.change(|state| state.powered = powered)
    }

    /// Sets the card up in the host, with its configured address only.
    pub(crate) fn configure(&self, netlink: &Netlink) -> Result<()> {
        let index = netlink.index_of(&self.0.interface)?;
        // Down first, which also deletes neighbours, routes and other state of the link.
        netlink.set_up(index, false)?;
        netlink.flush(index)?;
        let (address, prefix) = self.0.address;
        netlink.add_address(index, address, prefix)?;
        netlink.set_up(index, true)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = lock(&self.0.state);
        change(&mut state);
        self.apply(&state)
    }

    fn apply(&self, state: &MutexGuard<'_, State>) -> Result<()> {
        let up = state.plugged && state.powered;
        self.0.switch.netlink.set_up(PORT_INDEX + self.0.number, up)
    }
}
