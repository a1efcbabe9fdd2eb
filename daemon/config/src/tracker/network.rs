//! What the kinds `ping`, `tcp` and `http` have in common: whom they ask, from where, how often, and
//! how long they wait.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use serde::Serialize;
use vrrp_proto::params::{Peer, TrackerParams};
use vrrp_proto::{Family, is_link_local};

use super::{Assumed, LASTING, LOOKING_TIME, Probe};
use crate::address::PlainAddress;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::unicast;
use crate::value::{BoundedInteger, Count, InterfaceName};

/// Whom a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Host {
    /// Who has this address.
    Address(IpAddr),
    /// Who has this name.
    Name(Arc<str>),
}

impl From<&unicast::Peer> for Host {
    fn from(peer: &unicast::Peer) -> Self {
        match &peer.0 {
            Peer::Address(address) => Self::Address(*address),
            Peer::Name(name) => Self::Name(Arc::clone(name)),
        }
    }
}

/// From where a probe asks. The kernel chooses what is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// An address of this host.
    pub source: Option<IpAddr>,
    /// The interface that the packets leave and come in through.
    pub interface: Option<Arc<str>>,
}

/// How often a probe asks, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rhythm {
    /// From one beginning to the next: 10 ms to 1 day.
    pub interval: Duration,
    /// How long it may take: 10 ms to 1 day. It may be longer than the interval; then the next one
    /// begins later.
    pub timeout: Duration,
}

/// The words that all of them have.
pub(super) struct Common<'m> {
    pub(super) source: &'m Field<PlainAddress>,
    pub(super) interface: &'m Field<InterfaceName>,
    pub(super) interval: &'m Field<BoundedDuration>,
    pub(super) timeout: &'m Field<BoundedDuration>,
    pub(super) rise: &'m Field<BoundedInteger<Count>>,
    pub(super) fall: &'m Field<BoundedInteger<Count>>,
    pub(super) hold: &'m Field<BoundedDuration>,
    pub(super) initial: &'m Field<Assumed>,
}

impl Common<'_> {
    /// From where to ask `host`, which is said at `place`; the other words stand at `path`. `None` if
    /// what is wrong has been reported.
    pub(super) fn origin(
        &self,
        path: &Path,
        (host, place): (Option<&Host>, &Path),
        findings: &mut Findings,
    ) -> Option<Origin> {
        let source = self.source.optional()?.map(|source| source.0);
        let interface = self.interface.optional()?.map(|name| Arc::clone(&name.0));
        if let Some(Host::Address(host)) = host {
            if is_link_local(*host) && interface.is_none() {
                let message = "there may be one on each network: say through which to ask, like \
                               \"interface\": \"eth1\"";
                findings.add(place, message);
            }
            if let Some(source) = source
                && Family::of(source) != Family::of(*host)
            {
                let family = Family::of(*host);
                let message = format!(
                    "who is asked has an {family} address: name an {family} address of this host, or \
                     leave it out"
                );
                findings.add(&path.key("source"), message);
            }
        }
        if source.is_some_and(is_link_local) && interface.is_none() {
            let message =
                "is an address on one network: say on which, like \"interface\": \"eth1\"";
            findings.add(&path.key("source"), message);
        }
        Some(Origin { source, interface })
    }

    /// How often to ask. `None` if what is wrong has been reported.
    pub(super) fn rhythm(&self, path: &Path, findings: &mut Findings) -> Option<Rhythm> {
        let interval = LOOKING_TIME.check(&path.key("interval"), self.interval, findings);
        let timeout = LOOKING_TIME.check(&path.key("timeout"), self.timeout, findings);
        Some(Rhythm {
            interval: interval?,
            timeout: timeout?,
        })
    }

    /// How long a verdict stays at least. `None` if what is wrong has been reported.
    pub(super) fn hold(&self, path: &Path, findings: &mut Findings) -> Option<Duration> {
        LASTING.check(&path.key("hold"), self.hold, findings)
    }

    /// What the engine is told of `probe`. `None` if what is wrong has been reported.
    pub(super) fn params(&self, probe: &Probe, hold: Duration) -> Option<TrackerParams> {
        Some(TrackerParams {
            rise: self.rise.value()?.0.0,
            fall: self.fall.value()?.0.0,
            hold,
            initial: self.initial.value()?.verdict(),
            ..TrackerParams::new(probe.kind())
        })
    }
}

/// A text that is searched for. `None` if what is wrong has been reported.
pub(super) fn expected(
    path: &Path,
    text: &Field<String>,
    findings: &mut Findings,
) -> Option<Option<String>> {
    let text = text.optional()?;
    if text.is_some_and(String::is_empty) {
        findings.add(path, "must not be empty: everything contains that");
    }
    Some(text.cloned())
}
