//! Other routers of a virtual router: their last advertisement, and its differences from this
//! router's configuration. Differences are shown and logged, and have no effect on the election:
//! two masters would be worse.

use core::fmt::Write as _;
use core::net::IpAddr;

use super::address_list::{Comparison, OwnAddresses};
use crate::checkpoint::OtherCheckpoint;
use crate::params::RouterParams;
use crate::snapshot::OtherRouter;
use crate::time::{Human, Instant};
use crate::types::{AdvertInterval, Family, Version};
use crate::wire::{AddressList, ChecksumForm, Received};

/// Maximum number of other routers in the table, each counted in each of its families. A new one replaces
/// the one with the oldest advertisement.
const MOST: usize = 32;

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
    /// Its interval, version 3 only, where that differs from the configured one.
    interval: Option<AdvertInterval>,
    /// The comparison of its last list of addresses with the configured one.
    comparison: Comparison,
    /// That list as it stood in the message, where it differs.
    list: Vec<u8>,
}

impl Peers {
    /// Compares the list of an advertisement with the configured one. A list that the sender has not
    /// changed is not compared again.
    ///
    /// A known peer whose new list has no address in common stays a peer: its address was changed, and
    /// ours will be. Only a sender that never had one in common is another virtual router.
    pub(super) fn compare(
        &self,
        source: IpAddr,
        theirs: AddressList<'_>,
        own: &OwnAddresses,
    ) -> Comparison {
        let known = self.known(source);
        if let Some(peer) = known
            && !peer.list.is_empty()
            && peer.list == theirs.bytes()
        {
            return peer.comparison;
        }
        let comparison = own.compare(source, theirs);
        if comparison == Comparison::Foreign && self.has_heard(source) {
            Comparison::Different
        } else {
            comparison
        }
    }

    /// Records an advertisement. Returns whether its sender's configuration differs in another way than
    /// before.
    pub(super) fn record(
        &mut self,
        now: Instant,
        source: IpAddr,
        received: &Received<'_>,
        params: &RouterParams,
        comparison: Comparison,
    ) -> bool {
        let advert = &received.advert;
        let interval = (advert.interval != params.interval).then_some(advert.interval);
        let peer = self.entry(now, source);
        peer.priority = advert.priority;
        peer.heard_at = now;
        peer.form = received.checksum;
        // The resignation of a peer may hold anything: the daemon has another configuration or none.
        if advert.resigns() && comparison != Comparison::Foreign {
            return false;
        }
        let list = advert.addresses.bytes();
        let is_same = (peer.interval, peer.comparison) == (interval, comparison)
            && (comparison == Comparison::Same || peer.list == list);
        peer.interval = interval;
        if !is_same {
            peer.list.clear();
            // A list as configured is compared in linear time, and is not kept.
            if comparison != Comparison::Same {
                peer.list.extend_from_slice(list);
            }
        }
        peer.comparison = comparison;
        !is_same && (interval.is_some() || comparison != Comparison::Same)
    }

    /// The routers of the same virtual router, for a later process, which compares their lists anew.
    pub(super) fn save(&self) -> Vec<OtherCheckpoint> {
        let peers = self.0.iter();
        peers
            .filter(|peer| peer.comparison != Comparison::Foreign)
            .map(|peer| OtherCheckpoint {
                address: peer.address,
                priority: peer.priority,
                heard_at: peer.heard_at,
                checksum: peer.form,
            })
            .collect()
    }

    /// Continues with what [`save`](Self::save) returned.
    pub(super) fn restore(saved: &[OtherCheckpoint]) -> Self {
        let mut peers = Self::default();
        peers.0.extend(saved.iter().take(MOST).map(|saved| Peer {
            address: saved.address,
            priority: saved.priority,
            heard_at: saved.heard_at,
            form: saved.checksum,
            interval: None,
            comparison: Comparison::Same,
            list: Vec::new(),
        }));
        peers
    }

    /// Forgets the comparisons, because the configured addresses or the interval changed.
    pub(super) fn forget_comparisons(&mut self) {
        // With other addresses another virtual router may turn out to be a peer.
        self.0.retain(|peer| peer.comparison != Comparison::Foreign);
        for peer in &mut self.0 {
            peer.list.clear();
            (peer.interval, peer.comparison) = (None, Comparison::Same);
        }
    }

    /// Whether an advertisement of this router is recorded.
    pub(super) fn has_heard(&self, source: IpAddr) -> bool {
        self.known(source)
            .is_some_and(|peer| peer.comparison != Comparison::Foreign)
    }

    /// The differences between the last advertisement of a sender and the configuration, as sentences.
    pub(super) fn differences(
        &self,
        source: IpAddr,
        params: &RouterParams,
        own: &[OwnAddresses; 2],
    ) -> Vec<String> {
        let known = self.known(source);
        known.map_or_else(Vec::new, |peer| peer.differences(params, own))
    }

    /// The other routers, as status shows them.
    pub(super) fn status(
        &self,
        now: Instant,
        params: &RouterParams,
        own: &[OwnAddresses; 2],
        own_form: ChecksumForm,
    ) -> Vec<OtherRouter> {
        let other = |peer: &Peer| {
            let mut differences = peer.differences(params, own);
            let has_forms = params.version == Version::V3 && Family::of(peer.address) == Family::V4;
            let form = has_forms.then_some(peer.form);
            if form.is_some_and(|form| form != own_form) {
                differences
                    .push("IPv4 checksum form differs from that of the other routers".to_owned());
            }
            OtherRouter {
                address: peer.address,
                priority: peer.priority,
                age: now.since(peer.heard_at).as_secs_f64(),
                interval: peer
                    .interval
                    .unwrap_or(params.interval)
                    .duration()
                    .as_secs_f64(),
                checksum: form,
                differences,
            }
        };
        self.0.iter().map(other).collect()
    }

    fn known(&self, address: IpAddr) -> Option<&Peer> {
        self.0.iter().find(|peer| peer.address == address)
    }

    fn entry(&mut self, now: Instant, address: IpAddr) -> &mut Peer {
        let known = self.0.iter().position(|peer| peer.address == address);
        let position = known.unwrap_or_else(|| {
            let peer = Peer {
                address,
                priority: 0,
                heard_at: now,
                form: ChecksumForm::default(),
                interval: None,
                comparison: Comparison::Same,
                list: Vec::new(),
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
        &mut self.0[position]
    }
}

impl Peer {
    fn differences(&self, params: &RouterParams, own: &[OwnAddresses; 2]) -> Vec<String> {
        let family = Family::of(self.address);
        let own = &own[family as usize];
        let theirs = AddressList::of_bytes(family, &self.list);
        let mut sentences = Vec::new();
        if let Some(interval) = self.interval {
            sentences.push(format!(
                "advertisement interval {}, ours {}",
                Human(interval.duration()),
                Human(params.interval.duration())
            ));
        }
        match self.comparison {
            Comparison::Same => {}
            Comparison::Different => {
                let missing: Vec<IpAddr> = own.missing_in(theirs).collect();
                let additional: Vec<IpAddr> = own.additional_in(theirs).collect();
                if !missing.is_empty() {
                    sentences.push(format!("does not list {}", list(&missing)));
                }
                if !additional.is_empty() {
                    sentences.push(format!("also lists {}", list(&additional)));
                }
            }
            Comparison::Foreign => {
                let theirs: Vec<IpAddr> = theirs.iter().collect();
                sentences.push(format!(
                    "lists {} and none of our addresses: two virtual routers on this network have VRID \
                     {}; change virtualRouterId of one",
                    list(&theirs),
                    params.vrid
                ));
            }
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
