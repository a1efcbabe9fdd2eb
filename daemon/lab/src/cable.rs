//! The cable between a host's network card and a segment, and what can be wrong with it.
//!
//! A cable is a veth pair. Plugged in and in order, its segment end is a port of the bridge and
//! frames pass in the kernel alone. Pulled, the segment end is down, so that the host loses its
//! carrier. Impaired, the port leaves the bridge and a [`crate::relay`] carries frames between it
//! and a second pair that takes its place:
//!
//! ```text
//! in order:  host ens33 ====== p0 [br0]
//! impaired:  host ens33 ====== p0 <relay> r0 ====== b0 [br0]
//! ```

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::error::Result;
use crate::host::Host;
use crate::journal::lock;
use crate::relay::Relay;
use crate::segment::Switch;

/// Ports have indexes far from those in hosts: the kernel reports a lost carrier at once only when
/// the two ends of a veth differ in index, and otherwise up to a second late.
const PORT_INDEX: u32 = 10_000;
const BRIDGE_END_INDEX: u32 = 20_000;

/// What a bad cable does to frames. The default is a cable in order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// How long each frame is under way, in both directions.
    pub delay: Duration,
    /// The share of frames that get lost, in both directions: 0.0 none, 1.0 all.
    pub loss: f64,
    /// The seed of the dice for `loss`.
    pub seed: u64,
    /// Nothing reaches the host.
    pub cut_to_host: bool,
    /// Nothing of what the host sends arrives.
    pub cut_from_host: bool,
}

impl Impairment {
    /// Every frame takes `delay`.
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// The share `loss` of all frames is lost.
    pub fn loss(loss: f64, seed: u64) -> Self {
        Self {
            loss,
            seed,
            ..Self::default()
        }
    }

    /// The host hears nothing, though it is heard.
    pub fn deaf() -> Self {
        Self {
            cut_to_host: true,
            ..Self::default()
        }
    }

    /// The host is not heard, though it hears.
    pub fn mute() -> Self {
        Self {
            cut_from_host: true,
            ..Self::default()
        }
    }

    fn is_none(&self) -> bool {
        let Self {
            delay,
            loss,
            seed: _,
            cut_to_host,
            cut_from_host,
        } = *self;
        delay.is_zero() && loss <= 0.0 && !cut_to_host && !cut_from_host
    }
}

/// One plugged-in network card. Clones are the same cable, which lives as long as its host.
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
        host: &Host,
        interface: &str,
        address: (IpAddr, u8),
    ) -> Result<Self> {
        let number = switch.next_port();
        let port = PORT_INDEX + number;
        switch.netlink.add_veth(
            (&format!("p{number}"), port),
            (interface, host.namespaces()),
        )?;
        switch.netlink.set_bridge(port, Some(switch.bridge))?;
        let state = State {
            plugged: true,
            powered: host.is_on(),
            relay: None,
        };
        let cable = Self(Arc::new(Inner {
            switch,
            number,
            interface: interface.to_owned(),
            address,
            state: Mutex::new(state),
        }));
        cable.configure(host)?;
        cable.apply(&lock(&cable.0.state))?;
        Ok(cable)
    }

    /// Pulls the plug: the host loses its carrier and nothing passes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pull(&self) -> Result<()> {
        self.change(|state| state.plugged = false)
    }

    /// Puts the plug back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn plug(&self) -> Result<()> {
        self.change(|state| state.plugged = true)
    }

    /// Makes the cable as bad as `impairment` says, or good again with the default.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(&self, impairment: Impairment) -> Result<()> {
        let Inner { switch, number, .. } = &*self.0;
        let (port, bridge_end) = (PORT_INDEX + number, BRIDGE_END_INDEX + number);
        let mut state = lock(&self.0.state);
        if impairment.is_none() {
            if let Some(relay) = state.relay.take() {
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

    /// The configured address of the network card.
    pub fn address(&self) -> IpAddr {
        self.0.address.0
    }

    /// The host behind the cable was switched on or off.
    pub(crate) fn set_power(&self, powered: bool) -> Result<()> {
        self.change(|state| state.powered = powered)
    }

    /// Brings the card up in the host with its configured address and no other.
    pub(crate) fn configure(&self, host: &Host) -> Result<()> {
        let netlink = host.netlink();
        let index = netlink.index_of(&self.0.interface)?;
        // Down first: that also forgets neighbours, routes and the link's other state.
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
