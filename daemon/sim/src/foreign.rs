//! Routers of other makes, written from the RFCs and without code of the engine.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm};
use vrrp_proto::{Family, Instant, Version};

use crate::admission::{Rejection, is_deaf, judge};
use crate::records::{Content, Datagram};
use crate::scenario::{ForeignSpec, Make, RouterConfig, Stations, link_local, own_ipv4};

/// Router that follows the RFC, with or without the deviations of keepalived.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) spec: ForeignSpec,
    pub(crate) state: State,
    /// Time at which its timer expires.
    pub(crate) timer: Option<Instant>,
    /// Destinations of its advertisements: the multicast group, or the addresses of its peers.
    pub(crate) receivers: BTreeSet<IpAddr>,
    /// Active_Adver_Interval.
    interval: Duration,
}

/// State, with the names of RFC 9568.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Initialize,
    Backup,
    Active,
}

impl Foreign {
    pub(crate) fn new(spec: &ForeignSpec, stations: &Stations) -> Self {
        let mut router = Self {
            spec: spec.clone(),
            state: State::Initialize,
            timer: None,
            receivers: BTreeSet::new(),
            interval: spec.config.interval(),
        };
        // A foreign router has no peers by host name.
        router.receivers = spec.config.receivers(stations, router.family(), |_| &[]);
        router
    }

    pub(crate) const fn config(&self) -> &RouterConfig {
        &self.spec.config
    }

    /// Family of its advertisements; a foreign router has only one.
    pub(crate) fn family(&self) -> Family {
        self.config().spoken().next().unwrap_or(Family::V4)
    }

    pub(crate) fn source(&self) -> IpAddr {
        let ForeignSpec { host, config, .. } = &self.spec;
        match self.family() {
            Family::V4 => own_ipv4(config.segment, *host).address,
            Family::V6 => link_local(config.segment, *host).address,
        }
    }

    /// Startup (RFC 9568 section 6.4.1). Returns whether it advertises.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        self.interval = self.config().interval();
        if self.config().priority == 255 {
            self.become_active(now);
            return true;
        }
        self.state = State::Backup;
        self.timer = Some(now + self.down_interval());
        false
    }

    /// Switches the router off without an advertisement of priority 0.
    pub(crate) fn stop(&mut self) {
        self.state = State::Initialize;
        self.timer = None;
    }

    /// Handles the expiry of its timer. Returns whether it advertises.
    pub(crate) fn fire(&mut self, now: Instant) -> bool {
        match self.state {
            State::Initialize => false,
            State::Backup | State::Active => {
                self.become_active(now);
                true
            }
        }
    }

    /// Handles an advertisement. Returns whether it advertises in response.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Datagram) -> bool {
        if packet.family() != self.family() {
            return false;
        }
        let own = self.config().clone();
        let content = match judge(&own, |source| self.receivers.contains(&source), packet) {
            Ok(_) if is_deaf(&own) => Err(Rejection::Subject),
            judged => judged,
        };
        let Ok(content) = content else {
            let same_vrid = packet.payload.get(1) == Some(&own.vrid);
            if self.spec.make == Make::Keepalived && self.state == State::Active && same_vrid {
                // keepalived restarts its advertisement timer even for a rejected packet of its virtual
                // router.
                self.timer = Some(now + own.interval());
            }
            return false;
        };
        match self.state {
            State::Initialize => false,
            State::Backup => {
                if content.priority == 0 {
                    self.timer = Some(now + self.skew());
                } else if content.priority >= own.priority || !own.preempt {
                    self.interval = content.interval;
                    self.timer = Some(now + self.down_interval());
                }
                false
            }
            State::Active => {
                let greater_address = packet.source > self.source();
                if content.priority == 0 {
                    self.timer = Some(now + own.interval());
                    true
                } else if content.priority > own.priority
                    || content.priority == own.priority && greater_address
                {
                    self.state = State::Backup;
                    self.interval = content.interval;
                    self.timer = Some(now + self.down_interval());
                    false
                } else {
                    // RFC 9568 answers a lower priority at once, RFC 3768 does not.
                    own.version == Version::V3 || self.spec.make == Make::Keepalived
                }
            }
        }
    }

    /// Encodes its advertisement to one of its destinations.
    pub(crate) fn advertisement(&self, destination: IpAddr) -> (Vec<u8>, Content) {
        let config = self.config();
        let (family, source) = (self.family(), self.source());
        let form = match self.spec.make {
            Make::Rfc => ChecksumForm::MessageOnly,
            Make::Keepalived => ChecksumForm::WithPseudoHeader,
        };
        let mut list: Vec<IpAddr> = config.advertised(family).map(|a| a.address).collect();
        if family == Family::V6 && self.spec.make == Make::Rfc && !has_link_local(config) {
            // RFC 9568 section 5.2.9 with erratum 8300: the first address is link-local.
            list.insert(0, source);
        }
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for address in list {
            match address {
                IpAddr::V4(address) => ipv4.push(address.octets()),
                IpAddr::V6(address) => ipv6.push(address.octets()),
            }
        }
        let message = Advert {
            version: config.version,
            vrid: config.id(),
            priority: config.priority,
            interval: config.advert_interval(),
            addresses: match family {
                Family::V4 => AddressList::new(&ipv4),
                Family::V6 => AddressList::new_v6(&ipv6),
            },
            auth: config.password().map_or(Auth::None, Auth::Pass),
        }
        .emit(form, source, destination);
        (message, content(config, config.priority))
    }

    fn become_active(&mut self, now: Instant) {
        self.state = State::Active;
        self.timer = Some(now + self.config().interval());
    }

    fn skew(&self) -> Duration {
        skew(self.config().version, self.config().priority, self.interval)
    }

    fn down_interval(&self) -> Duration {
        3 * self.interval + self.skew()
    }
}

/// Whether a router advertises a link-local address.
pub(crate) fn has_link_local(config: &RouterConfig) -> bool {
    config
        .advertised(Family::V6)
        .any(|address| address.is_link_local())
}

/// Expected content of an advertisement of a router with this configuration and priority.
pub(crate) fn content(config: &RouterConfig, priority: u8) -> Content {
    Content {
        version: config.version,
        vrid: config.id(),
        priority,
        interval: config.interval(),
        password: config.password(),
    }
}

/// Skew_Time (RFC 9568 section 6.1, RFC 3768 section 6.1).
pub(crate) fn skew(version: Version, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}
