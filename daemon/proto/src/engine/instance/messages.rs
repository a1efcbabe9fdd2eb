//! Advertisements of a router, encoded, and what they depend on beside its parameters.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Instance;
use crate::params::{Authentication, HmacParams};
use crate::replay::Sent;
use crate::types::{Family, Version, is_link_local};
use crate::wire::hmac::{self, Sequence, TRAILER_LEN};
use crate::wire::{
    AddressList, Advert, Auth, ChecksumForm, HOP_LIMIT, PRIORITY_RESIGN, most_addresses,
};

/// Advertisements of a router, and the learned state that they depend on.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Checksum form of the last IPv4 advertisement received, which this router uses in its own.
    pub(super) form: ChecksumForm,
    /// Whether the other routers list the IPv6 addresses without a link-local one. This router then
    /// does the same.
    pub(super) without_link_local: bool,
    /// Encoded advertisement for each receiver, cleared when a field changes and empty until it is
    /// encoded again. With HMAC each message is signed anew before it is sent.
    encoded: [Vec<Arc<[u8]>>; 2],
    /// Sequence numbers of the signed ones.
    pub(super) sent: Sent,
}

impl Messages {
    /// Encodes all anew before they are sent again.
    pub(super) fn forget(&mut self) {
        self.encoded.iter_mut().for_each(Vec::clear);
    }

    /// Uses the checksum form of a received advertisement over IPv4.
    pub(super) fn use_form(&mut self, form: ChecksumForm) {
        if self.form != form {
            self.form = form;
            self.encoded[Family::V4 as usize].clear();
        }
    }

    /// Lists the IPv6 addresses without a link-local one, or with it, as a received advertisement does.
    pub(super) fn list_without_link_local(&mut self, without: bool) {
        if self.without_link_local != without {
            self.without_link_local = without;
            self.encoded[Family::V6 as usize].clear();
        }
    }
}

impl Instance {
    /// Encodes the advertisements in advance, so that a take-over does not wait for it.
    pub(in crate::engine) fn prepare(&mut self) {
        if let Some(endpoint) = self.endpoint {
            for family in Family::ALL {
                if let Some(source) = endpoint.source(family) {
                    let _ = self.prepared(family, source);
                }
            }
        }
    }

    /// Destinations of the advertisements in a family.
    pub(in crate::engine) fn receivers(&self, family: Family) -> &[IpAddr] {
        self.destinations.of(family)
    }

    /// TTL or hop limit of the advertisements sent.
    pub(in crate::engine) fn hop_limit(&self) -> u8 {
        // RFC 9568 5.1.1.3 MUST: send with TTL 255
        // RFC 9568 5.1.2.3 MUST: send with hop limit 255
        self.params.unicast.as_ref().map_or(HOP_LIMIT, |u| u.ttl)
    }

    /// Returns the sequence number for the next advertisement at the wall-clock time `wall`, if it
    /// is signed. The copies for all receivers have the same number.
    pub(in crate::engine) fn sequence(&mut self, wall: Duration) -> Option<Sequence> {
        let hmac = self.hmac().filter(|hmac| hmac.mode.signs())?;
        let anti_replay = hmac.anti_replay;
        Some(self.messages.sent.next(wall, anti_replay))
    }

    /// Returns the advertisement that it sends as master to one of its
    /// [`receivers`](Self::receivers), selected by family and position.
    pub(in crate::engine) fn message(
        &mut self,
        family: Family,
        number: usize,
        source: IpAddr,
        sequence: Option<Sequence>,
    ) -> Arc<[u8]> {
        let _ = self.prepared(family, source);
        let receiver = self.receivers(family)[number];
        let message = &mut self.messages.encoded[family as usize][number];
        if let (Authentication::Hmac(hmac), Some(sequence)) =
            (&self.params.authentication, sequence)
        {
            // No copy is made: the previous output that shared the buffer has been dropped.
            let message = Arc::make_mut(message);
            hmac::sign(message, source, receiver, &hmac.active, sequence);
        }
        Arc::clone(message)
    }

    /// Returns the advertisements to all receivers of a family, with the last signature or still
    /// without.
    fn prepared(&mut self, family: Family, source: IpAddr) -> &[Arc<[u8]>] {
        let mut messages = core::mem::take(&mut self.messages.encoded[family as usize]);
        if messages.is_empty() {
            let priority = self.priority().get();
            let receivers = self.receivers(family).iter();
            messages.extend(receivers.map(|to| self.emit(priority, source, *to).into()));
        }
        self.messages.encoded[family as usize] = messages;
        &self.messages.encoded[family as usize]
    }

    /// Encodes the resignation (priority 0) to `receiver`.
    pub(in crate::engine) fn resignation(
        &self,
        source: IpAddr,
        receiver: IpAddr,
        sequence: Option<Sequence>,
    ) -> Arc<[u8]> {
        let mut message = self.emit(PRIORITY_RESIGN, source, receiver);
        if let (Some(hmac), Some(sequence)) = (self.hmac(), sequence) {
            hmac::sign(&mut message, source, receiver, &hmac.active, sequence);
        }
        message.into()
    }

    /// HMAC parameters, if configured.
    pub(super) const fn hmac(&self) -> Option<&HmacParams> {
        match &self.params.authentication {
            Authentication::Hmac(hmac) => Some(hmac),
            Authentication::None | Authentication::Pass(_) => None,
        }
    }

    fn signs(&self) -> bool {
        self.hmac().is_some_and(|hmac| hmac.mode.signs())
    }

    /// Encodes an advertisement with that priority from `source` to `receiver`, with room for the
    /// HMAC trailer if it is to be signed.
    fn emit(&self, priority: u8, source: IpAddr, receiver: IpAddr) -> Vec<u8> {
        let family = Family::of(source);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        // RFC 9568 7.2 MUST: the fields are those of the configuration
        // RFC 9568 5.2.9 erratum 8300 MUST: the first IPv6 address is the link-local one
        let begins =
            !self.has_link_local() && !self.messages.without_link_local && is_link_local(source);
        // Every router has to ignore a list of no address (RFC 9568 erratum 8299), so the source address
        // fills it. keepalived takes any list.
        let fills = self.params.advertises_none() && self.params.version == Version::V3;
        let own = (begins || fills).then_some(source);
        let of_kind = |link_local| {
            let advertised = self.params.advertised(family);
            advertised.filter(move |address| is_link_local(*address) == link_local)
        };
        for address in own.into_iter().chain(of_kind(true)).chain(of_kind(false)) {
            match address {
                IpAddr::V4(address) => v4.push(address.octets()),
                IpAddr::V6(address) => v6.push(address.octets()),
            }
        }
        // The sender's link-local address may be one more than a message has room for.
        v6.truncate(most_addresses(Family::V6));
        let advert = Advert {
            version: self.params.version,
            vrid: self.params.vrid,
            priority,
            interval: self.params.interval,
            addresses: match family {
                Family::V4 => AddressList::new(&v4),
                Family::V6 => AddressList::new_v6(&v6),
            },
            auth: self.auth(),
        };
        let mut message = advert.emit(self.messages.form, source, receiver);
        if self.signs() {
            message.resize(message.len() + TRAILER_LEN, 0);
        }
        message
    }

    pub(in crate::engine) const fn auth(&self) -> Auth {
        match &self.params.authentication {
            Authentication::Pass(password) => Auth::Pass(*password),
            Authentication::None | Authentication::Hmac(_) => Auth::None,
        }
    }
}
