//! Fixture of a cell: a segment with two hosts, a daemon on each, and captures of the frames that each
//! sends.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_lab::daemons::{Frr, Keepalived, Vrrpd};
use vrrp_lab::{Cable, Capture, Error, Filter, Frame, Host, Moment, Result, Segment};

use crate::cell::{Cast, Cell, Deviation, Dialect, Family, Peer, Who};
use crate::client::Client;
use crate::common::tshark::{self, Checksum};
use crate::common::{SOON, set};
use crate::configuration::{self, CARD, MACVLAN, VRID};
use crate::frames::{Advert, announces};

/// Time limit for clients to learn the MAC address of the holder. A second announcement follows a second
/// after the first; without any, Linux updates its entry after more than five seconds.
const ANNOUNCED: Duration = Duration::from_secs(3);

/// Words in FRR's log lines about packets that it rejects.
const COMPLAINTS_OF_FRR: &[&str] = &["nvalid", "Bad VRRP", "unequal", "should be", "mismatch"];

/// Segment with two hosts. The leader has the greater address.
pub(crate) struct Fixture<'c> {
    pub(crate) cell: &'c Cell,
    ours: Side,
    theirs: Side,
    pub(crate) client: Client,
    _segment: Segment,
}

/// Host with a capture on its card.
pub(crate) struct Side {
    pub(crate) host: Host,
    pub(crate) cable: Cable,
    card: Capture,
    /// Source address of its daemon's advertisements.
    pub(crate) address: IpAddr,
}

/// A running daemon.
pub(crate) enum Daemon<'s> {
    Ours(Vrrpd<'s>),
    Keepalived(Keepalived),
    Frr(Frr),
}

impl<'c> Fixture<'c> {
    pub(crate) fn new(cell: &'c Cell) -> Result<Self> {
        let segment = Segment::new("lan")?;
        let side = |who: Who, name: &str| -> Result<Side> {
            let last = if who == cell.leader { 12 } else { 11 };
            let address = cell.family.host(last);
            // Over IPv6 FRR sends from an address of its macvlan, and the card has another address.
            let frr = (who, cell.peer, cell.family) == (Who::Theirs, Peer::Frr, Family::V6);
            let card = if frr { cell.family.host(22) } else { address };
            let side = Side::new(&segment, name, cell.family, address, card)?;
            if who == Who::Theirs && cell.their_mac {
                // Settings that operators of peers make: otherwise Linux answers, and sends ARP requests,
                // on the card for addresses of another interface.
                set(&side.host, &format!("ipv4/conf/{CARD}/arp_ignore"), "1")?;
                set(&side.host, &format!("ipv4/conf/{CARD}/arp_announce"), "2")?;
            }
            Ok(side)
        };
        Ok(Self {
            cell,
            ours: side(Who::Ours, "ours")?,
            theirs: side(Who::Theirs, "theirs")?,
            client: Client::new(&segment, cell.family)?,
            _segment: segment,
        })
    }

    pub(crate) fn side(&self, who: Who) -> &Side {
        match who {
            Who::Ours => &self.ours,
            Who::Theirs => &self.theirs,
        }
    }

    /// Starts a daemon with this priority and waits until it runs.
    pub(crate) fn start(&self, who: Who, priority: u8) -> Result<Daemon<'_>> {
        let Side { host, address, .. } = self.side(who);
        let other = self.side(who.other()).address;
        let cell = self.cell;
        Ok(match (who, cell.peer) {
            (Who::Ours, _) => {
                let config = configuration::ours(cell, priority, *address, other);
                Daemon::Ours(Vrrpd::start(host, &config)?)
            }
            (Who::Theirs, Peer::Keepalived) => {
                let config = configuration::keepalived(cell, priority, *address, other);
                Daemon::Keepalived(Keepalived::start(host, &config)?)
            }
            (Who::Theirs, Peer::Frr) => {
                self.prepare_for_frr()?;
                Daemon::Frr(Frr::start(host, &configuration::frr(cell, priority), VRID)?)
            }
        })
    }

    /// Converges as [`Fixture::converge`] does, and asserts that the neighbour entry of a client was
    /// updated.
    pub(crate) fn converge_for_clients(&self, holder: Who, since: Moment) -> Result<()> {
        self.converge(holder, since)?;
        let mac = self.mac(holder)?;
        let settled = Moment::now();
        let mut reached = self.client.reaches()?;
        while reached != Some(mac) && settled.elapsed() < ANNOUNCED {
            reached = self.client.reaches()?;
        }
        assert_eq!(
            reached,
            Some(mac),
            "MAC address at which the client reaches {holder:?}"
        );
        Ok(())
    }

    /// Converges after a time with two masters, in which the client may have learnt the MAC address of
    /// either one. The remaining master is expected to announce the addresses again.
    pub(crate) fn converge_after_two(&self, holder: Who, since: Moment) -> Result<()> {
        let silent = self.cell.deviates(Deviation::AnnouncesOnce);
        if holder == Who::Ours || !silent {
            return self.converge_for_clients(holder, since);
        }
        self.converge(holder, since)?;
        let said = self
            .side(holder)
            .announcements_after(since, self.cell.family);
        assert_eq!(said, 0, "unexpected announcements");
        Ok(())
    }

    /// Waits until only `holder` has advertised for two intervals, and asserts that only it holds the
    /// virtual addresses.
    fn converge(&self, holder: Who, since: Moment) -> Result<()> {
        let (holder_side, other) = (self.side(holder), self.side(holder.other()));
        let begun = Moment::now();
        let mut first = holder_side.advert_after(since)?;
        loop {
            let second = holder_side.advert_after(first.at)?;
            let third = holder_side.advert_after(second.at)?;
            let long_enough = third.at.since(first.at) > self.cell.dialect.interval() * 3 / 2;
            let received = other.adverts_after(first.at);
            if received.is_empty() && long_enough {
                break;
            }
            if begun.elapsed() > SOON {
                let text =
                    format!("timed out; the last advertisements of the other are {received:#?}");
                return Err(Error::new(
                    format!("waiting for {holder:?} to be the only master"),
                    text,
                ));
            }
            first = second;
        }
        for who in [Who::Ours, Who::Theirs] {
            let mut holds = self.holds(who)?;
            // The former master may need some time to release the addresses; FRR leaves that to zebra.
            for _ in 0..3 {
                if holds == (who == holder) {
                    break;
                }
                holder_side.advert_after(Moment::now())?;
                holds = self.holds(who)?;
            }
            assert_eq!(holds, who == holder, "whether {who:?} holds the addresses");
        }
        Ok(())
    }

    /// MAC address at which the virtual addresses are reachable when `holder` holds them.
    fn mac(&self, holder: Who) -> Result<[u8; 6]> {
        let cell = self.cell;
        let is_virtual = match holder {
            Who::Ours => cell.our_mac,
            Who::Theirs => cell.their_mac,
        };
        if is_virtual {
            Ok(cell.family.virtual_mac())
        } else {
            self.side(holder).host.mac(CARD)
        }
    }

    /// Whether a host holds all virtual addresses.
    fn holds(&self, who: Who) -> Result<bool> {
        let host = &self.side(who).host;
        if (who, self.cell.peer) == (Who::Theirs, Peer::Frr) {
            // FRR's macvlan always has the addresses; they are reachable when it has a carrier.
            return host.is_running(MACVLAN);
        }
        let addresses = self.cell.family.virtual_addresses();
        let mut held = 0;
        for address in addresses {
            held += usize::from(host.holds(*address)?);
        }
        assert!(
            [0, addresses.len()].contains(&held),
            "only {held} of the virtual addresses"
        );
        Ok(held > 0)
    }

    /// Asserts that a daemon rejected no packet and logged no problem with one.
    pub(crate) fn assert_content(&self, daemon: &Daemon<'_>) -> Result<()> {
        let (process, complaints) = match daemon {
            Daemon::Ours(daemon) => return self.assert_ours_content(daemon),
            Daemon::Keepalived(daemon) => (daemon.process(), Keepalived::COMPLAINTS),
            Daemon::Frr(daemon) => (daemon.process(), COMPLAINTS_OF_FRR),
        };
        let concerns = |text: &str| text.contains("VI_1") || text.contains("[VRID ");
        let begins = self.cell.deviates(Deviation::BeginsWithTheOtherChecksum);
        let complaint = process.output().entries().into_iter().find(|line| {
            concerns(&line.text)
                && complaints.iter().any(|word| line.text.contains(word))
                && !(begins && line.text.contains("checksum"))
        });
        assert_eq!(complaint, None, "{}", process.log());
        Ok(())
    }

    fn assert_ours_content(&self, daemon: &Vrrpd<'_>) -> Result<()> {
        let status = daemon.status()?;
        let counters = status.instances[0].counters;
        assert_eq!(
            (counters.dropped.total(), status.dropped.total()),
            (0, 0),
            "{status:#?}"
        );
        assert_eq!(
            (counters.address_list_differs, counters.interval_differs),
            (0, 0),
            "{status:#?}"
        );
        let (with_header, message_only) = (
            counters.checksums_with_pseudo_header,
            counters.checksums_message_only,
        );
        let other_form = match self.cell.dialect {
            Dialect::Three => message_only,
            Dialect::Two | Dialect::TwoWithPassword | Dialect::ThreeMessageOnly => with_header,
        };
        assert_eq!(other_form, 0, "checksums of another form: {counters:?}");
        Ok(())
    }

    /// Asserts that the source MAC address of vrrpd's advertisements is as configured, and that their
    /// destination is the multicast group or the peer.
    pub(crate) fn assert_addressed(&self) -> Result<()> {
        let (family, card) = (self.cell.family, self.theirs.host.mac(CARD)?);
        let from = self.mac(Who::Ours)?;
        let to = match self.cell.cast {
            Cast::Multicast => family.group_mac(),
            Cast::Unicast => card,
        };
        for advert in self.ours.adverts_after(Moment::default()) {
            assert_eq!((advert.from, advert.to), (from, to), "{advert:x?}");
        }
        Ok(())
    }

    /// Asserts that tshark finds no problem in the frames of the vrrpd host, which include advertisements
    /// and announcements.
    pub(crate) fn assert_dissected(&self) -> Result<()> {
        let expected = self.cell.expected();
        let sent = tshark::dissect(&self.ours.card, expected)?;
        let adverts = sent.iter().filter(|frame| frame.priority.is_some());
        let forms: Vec<Checksum> = adverts.map(|frame| frame.checksum).collect();
        assert!(forms.len() > 3, "{sent:#?}");
        // If two are expected, vrrpd begins with the one and ends with the other.
        assert_eq!(forms.first(), expected.checksums.first(), "{sent:#?}");
        assert_eq!(forms.last(), expected.checksums.last(), "{sent:#?}");
        assert!(sent.iter().any(|frame| frame.announces), "{sent:#?}");
        Ok(())
    }

    /// Creates the macvlan with the virtual addresses, which FRR requires.
    fn prepare_for_frr(&self) -> Result<()> {
        let Side { host, address, .. } = &self.theirs;
        let family = self.cell.family;
        if host.is_running(MACVLAN).is_ok() {
            return Ok(());
        }
        host.add_macvlan(MACVLAN, CARD, family.virtual_mac())?;
        for virtual_address in family.virtual_addresses() {
            host.add_address(MACVLAN, *virtual_address, family.prefix())?;
        }
        if family == Family::V6 {
            // FRR sends from a link-local address of this interface: the one added last.
            host.add_address(MACVLAN, *address, family.prefix())?;
        }
        Ok(())
    }
}

impl Side {
    /// Creates a host with the address `on_card` on its card and a daemon that sends from `address`.
    fn new(
        segment: &Segment,
        name: &str,
        family: Family,
        address: IpAddr,
        on_card: IpAddr,
    ) -> Result<Self> {
        let host = Host::new(name)?;
        if family == Family::V6 {
            // The card has no other link-local address than the lab's, without duplicate address detection
            // whenever the power comes back.
            set(&host, "ipv6/conf/default/addr_gen_mode", "1")?;
            set(&host, "ipv6/conf/default/accept_dad", "0")?;
        }
        let cable = segment.attach(&host, CARD, &format!("{on_card}/{}", family.prefix()))?;
        let card = host.capture(CARD, Filter::all())?;
        Ok(Self {
            host,
            cable,
            card,
            address,
        })
    }

    /// Advertisements that the host sent after `since`.
    pub(crate) fn adverts_after(&self, since: Moment) -> Vec<Advert> {
        let frames = self.card.frames().entries();
        let adverts = frames.iter().filter_map(Advert::of);
        adverts.filter(|advert| advert.at > since).collect()
    }

    /// Number of announcements of virtual addresses that the host sent after `since`.
    fn announcements_after(&self, since: Moment, family: Family) -> usize {
        let announces = |frame: &&Frame| {
            let addresses = family.virtual_addresses().iter();
            frame.outgoing && addresses.copied().any(|address| announces(frame, address))
        };
        let frames = self.card.frames().entries();
        let later = frames.iter().filter(|frame| frame.at > since);
        later.filter(announces).count()
    }

    /// Last advertisement with a priority above 0. A daemon that sees its link go down just before the
    /// power fails may have sent a resignation, which was not delivered.
    pub(crate) fn last_advert(&self) -> Result<Advert> {
        let mut sent = self.adverts_after(Moment::default());
        sent.retain(|advert| advert.priority > 0);
        sent.pop()
            .ok_or_else(|| Error::new("looking for an advertisement", "the host never sent one"))
    }

    /// Waits for the host's first advertisement after `since`.
    pub(crate) fn advert_after(&self, since: Moment) -> Result<Advert> {
        self.advert(since, "any", |_| true)
    }

    /// Waits for the host's resignation after `since`.
    pub(crate) fn resignation_after(&self, since: Moment) -> Result<Advert> {
        self.advert(since, "priority 0", |advert| advert.priority == 0)
    }

    fn advert(&self, since: Moment, what: &str, wanted: fn(&Advert) -> bool) -> Result<Advert> {
        let is = |frame: &Frame| {
            Advert::of(frame).is_some_and(|advert| advert.at > since && wanted(&advert))
        };
        let frame = self.card.frames().wait_for(is, SOON);
        frame.as_ref().and_then(Advert::of).ok_or_else(|| {
            let name = self.host.name();
            let sent = self.adverts_after(Moment::default());
            let last = &sent[sent.len().saturating_sub(10)..];
            Error::new(
                format!("waiting for an advertisement of {name} ({what}) after {since}"),
                format!("timed out; the last ones are {last:#?}"),
            )
        })
    }
}

impl Daemon<'_> {
    /// Stops the daemon in order.
    pub(crate) fn stop(&self) -> Result<()> {
        let status = match self {
            Self::Ours(daemon) => daemon.stop()?,
            Self::Keepalived(daemon) => daemon.stop()?,
            Self::Frr(daemon) => daemon.stop()?,
        };
        assert!(status.success(), "{status}");
        Ok(())
    }

    /// Complete output of the daemon.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Ours(daemon) => daemon.process().log(),
            Self::Keepalived(daemon) => daemon.process().log(),
            Self::Frr(daemon) => daemon.zebra().log() + &daemon.process().log(),
        }
    }
}
