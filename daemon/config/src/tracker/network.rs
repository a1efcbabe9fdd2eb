//! Common keys of the kinds `ping`, `tcp` and `http`: host, source, interval, timeout and
//! thresholds.

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

/// Host that a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Host {
    /// The host with this address.
    Address(IpAddr),
    /// The host with this name.
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

/// Source of the packets of a probe. The kernel chooses what is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Address of this host.
    pub source: Option<IpAddr>,
    /// Interface through which the packets leave and arrive.
    pub interface: Option<Arc<str>>,
}

/// Interval and timeout of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rhythm {
    /// Interval between two starts: 10 ms to 1 day.
    pub interval: Duration,
    /// Timeout: 10 ms to 1 day. It may be longer than the interval; then the next probe starts
    /// later.
    pub timeout: Duration,
}

/// Keys that all three kinds have.
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
    /// Returns the source of probes to `host`, which the key at `place` names; the other keys are
    /// below `path`. `None` if a problem has been reported.
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
                let message = "a link-local address needs an interface: add one, like \"interface\": \
                               \"eth1\"";
                findings.add(place, message);
            }
            if let Some(source) = source
                && Family::of(source) != Family::of(*host)
            {
                let family = Family::of(*host);
                let message = format!(
                    "the probed address is {family}: must be an {family} address of this host, or \
                     leave it out"
                );
                findings.add(&path.key("source"), message);
            }
        }
        if source.is_some_and(is_link_local) && interface.is_none() {
            let message =
                "a link-local address needs an interface: add one, like \"interface\": \"eth1\"";
            findings.add(&path.key("source"), message);
        }
        Some(Origin { source, interface })
    }

    /// Returns interval and timeout. `None` if a problem has been reported.
    pub(super) fn rhythm(&self, path: &Path, findings: &mut Findings) -> Option<Rhythm> {
        let interval = LOOKING_TIME.check(&path.key("interval"), self.interval, findings);
        let timeout = LOOKING_TIME.check(&path.key("timeout"), self.timeout, findings);
        Some(Rhythm {
            interval: interval?,
            timeout: timeout?,
        })
    }

    /// Returns the hold time. `None` if a problem has been reported.
    pub(super) fn hold(&self, path: &Path, findings: &mut Findings) -> Option<Duration> {
        LASTING.check(&path.key("hold"), self.hold, findings)
    }

    /// Returns the parameters of `probe` for the engine. `None` if a problem has been reported.
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

/// Returns the text that an answer has to contain. `None` if a problem has been reported.
pub(super) fn expected(
    path: &Path,
    text: &Field<String>,
    findings: &mut Findings,
) -> Option<Option<String>> {
    let text = text.optional()?;
    if text.is_some_and(String::is_empty) {
        findings.add(path, "must not be empty: every answer would match");
    }
    Some(text.cloned())
}
