//! Other routers of a virtual router: their last advertisement, and its differences from this
//! router's configuration. Differences are shown and logged, and have no effect on the election:
//! two masters would be worse.

use core::fmt::Write as _;
use core::net::IpAddr;

use crate::params::RouterParams;
use crate::snapshot::OtherRouter;
use crate::time::{Human, Instant};
use crate::types::{AdvertInterval, Family, Version};
use crate::wire::{ChecksumForm, Received};

/// Maximum number of other routers in the table. A new one replaces the one with the oldest
/// advertisement.
const MOST: usize = 8;

/// The other routers from which advertisements were received. The usual number is allocated in
/// advance, so that the first advertisement takes no longer than later ones.
#[derive(Debug)]
pub(super) struct Peers(Vec<Peer>);

impl Default for Peers {
    fn default() -> Self {
        Self(Vec::with_capacity(USUAL))
    }
}

/// Usual number of entries: one other host, with an address in each family.
const USUAL: usize = 2;

#[derive(Debug)]
struct Peer {
    address: IpAddr,
    priority: u8,
    heard_at: Instant,
    form: ChecksumForm,
    differences: Drift,
}

/// Differences between an advertisement and this router's own configuration.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drift {
    /// The other interval; version 3 only.
    interval: Option<AdvertInterval>,
    /// Configured addresses that the advertisement does not list.
    missing: Vec<IpAddr>,
    /// Listed addresses that are not configured here.
    additional: Vec<IpAddr>,
}

impl Peers {
    /// Records an advertisement. `same_list` is whether it lists the configured addresses. Returns
    /// a text of the differences if they changed.
    pub(super) fn record(
        &mut self,
        now: Instant,
        source: IpAddr,
        received: &Received<'_>,
        params: &RouterParams,
        same_list: bool,
    ) -> Option<String> {
        let advert = &received.advert;
        let same_interval = advert.interval == params.interval;
        // The sender of a resignation may already have other parameters: no comparison.
        let differences = match (advert.resigns(), same_list && same_interval) {
            (true, _) => None,
            (false, true) => Some(Drift::default()),
            (false, false) => Some(Drift::new(received, params, same_list)),
        };
        let peer = self.entry(now, source);
        peer.priority = advert.priority;
        peer.heard_at = now;
        peer.form = received.checksum;
        let differences = differences.filter(|differences| *differences != peer.differences)?;
        peer.differences = differences;
        (peer.differences != Drift::default())
            .then(|| peer.differences.sentences(params).join("; "))
    }

    /// Returns the status of the other routers.
    pub(super) fn status(
        &self,
        now: Instant,
        params: &RouterParams,
        own_form: ChecksumForm,
    ) -> Vec<OtherRouter> {
        let other = |peer: &Peer| {
            let mut differences = peer.differences.sentences(params);
            // Version 3 routers differ in whether the IPv4 checksum includes a pseudo-header.
            let has_forms = params.version == Version::V3 && Family::of(peer.address) == Family::V4;
            if has_forms && peer.form != own_form {
                differences
                    .push("IPv4 checksum form differs from that of the other routers".to_owned());
            }
            OtherRouter {
                address: peer.address,
                priority: peer.priority,
                age: now.since(peer.heard_at).as_secs_f64(),
                differences,
            }
        };
        self.0.iter().map(other).collect()
    }

    fn entry(&mut self, now: Instant, address: IpAddr) -> &mut Peer {
        let known = self.0.iter().position(|peer| peer.address == address);
        let place = known.unwrap_or_else(|| {
            let peer = Peer {
                address,
                priority: 0,
                heard_at: now,
                form: ChecksumForm::default(),
                differences: Drift::default(),
            };
            if self.0.len() < MOST {
                self.0.push(peer);
                return self.0.len() - 1;
            }
            let oldest = self.0.iter().enumerate();
            let (oldest, _) = oldest
                .min_by_key(|(_, peer)| peer.heard_at)
                .unwrap_or((0, &self.0[0]));
            self.0[oldest] = peer;
            oldest
        });
        &mut self.0[place]
    }
}

impl Drift {
    fn new(received: &Received<'_>, params: &RouterParams, same_list: bool) -> Self {
        let advert = &received.advert;
        let theirs = advert.addresses;
        let (mut missing, mut additional) = (Vec::new(), Vec::new());
        if !same_list {
            let own = || params.advertised(theirs.family());
            missing.extend(own().filter(|own| theirs.iter().all(|theirs| theirs != *own)));
            additional.extend(
                theirs
                    .iter()
                    .filter(|theirs| own().all(|own| own != *theirs)),
            );
        }
        Self {
            interval: (advert.interval != params.interval).then_some(advert.interval),
            missing,
            additional,
        }
    }

    fn sentences(&self, params: &RouterParams) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(interval) = self.interval {
            sentences.push(format!(
                "advertisement interval {}, ours {}",
                Human(interval.duration()),
                Human(params.interval.duration())
            ));
        }
        if !self.missing.is_empty() {
            sentences.push(format!("does not list {}", list(&self.missing)));
        }
        if !self.additional.is_empty() {
            sentences.push(format!("also lists {}", list(&self.additional)));
        }
        sentences
    }
}

/// Formats the first four addresses of a list, and the number of the remaining ones.
fn list(addresses: &[IpAddr]) -> String {
    const SHOWN: usize = 4;
    let mut text = String::new();
    for (number, address) in addresses.iter().take(SHOWN).enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{address}");
    }
    if addresses.len() > SHOWN {
        let _ = write!(text, " and {} more", addresses.len() - SHOWN);
    }
    text
}
