//! Fixture of two hosts, one with vrrpd and one with keepalived.

use vrrp_lab::daemons::{Keepalived, Vrrpd};
use vrrp_lab::{AddressWatch, Capture, Filter, Host, Moment, Result, held_twice};

use crate::common::tshark::{self, Checksum};
use crate::common::{LATE, Lan, Station, VIP};
use crate::dialect::Dialect;

pub(crate) struct Peers {
    pub(crate) dialect: Dialect,
    pub(crate) lan: Lan,
    pub(crate) ours: Station,
    pub(crate) theirs: Station,
    /// Capture on the card of the vrrpd host.
    card: Capture,
}

impl Peers {
    pub(crate) fn new(dialect: Dialect, ours: u8, theirs: u8) -> Result<Self> {
        let lan = Lan::new()?;
        let station = |name, last| lan.plug_in(with_httpd(name)?, last);
        let (ours, theirs) = (station("ours", ours)?, station("theirs", theirs)?);
        let card = ours.host.capture("ens33", Filter::all())?;
        Ok(Self {
            dialect,
            lan,
            ours,
            theirs,
            card,
        })
    }

    pub(crate) fn start_ours(&self, state: &str, priority: u8) -> Result<Vrrpd<'_>> {
        Vrrpd::start(&self.ours.host, &self.dialect.ours(state, priority))
    }

    pub(crate) fn start_theirs(&self, state: &str, priority: u8) -> Result<Keepalived> {
        Keepalived::start(&self.theirs.host, &self.dialect.keepalived(state, priority))
    }

    /// Waits until `holder` has been the only sender of advertisements for a while, and asserts that only
    /// it holds the address.
    pub(crate) fn assert_rest(&self, holder: &Station) -> Result<()> {
        let from = self.lan.pass(holder, 1)?.at;
        let to = self.lan.pass(holder, 3)?.at;
        let adverts = self.lan.adverts();
        let foreign = adverts
            .iter()
            .filter(|advert| advert.at > from && advert.source != holder.address);
        assert_eq!(
            foreign.count(),
            0,
            "two masters between {from} and {to}: {adverts:#?}"
        );
        for station in [&self.ours, &self.theirs] {
            let holds = station.host.holds(VIP)?;
            assert_eq!(
                holds,
                station.address == holder.address,
                "{}",
                station.host.name()
            );
        }
        Ok(())
    }

    /// Asserts that neither daemon rejected or complained about the other's packets.
    pub(crate) fn assert_content(&self, ours: &Vrrpd<'_>, theirs: &[&Keepalived]) -> Result<()> {
        let status = ours.status()?;
        let counters = status.instances[0].counters;
        assert_eq!(
            (counters.dropped.total(), status.dropped.total()),
            (0, 0),
            "{status:#?}"
        );
        assert_eq!(
            (counters.address_list_differs, counters.interval_differs),
            (0, 0)
        );
        let (with_header, message_only) = (
            counters.checksums_with_pseudo_header,
            counters.checksums_message_only,
        );
        let other_form = match self.dialect {
            Dialect::Three => message_only,
            Dialect::Two | Dialect::ThreeMessageOnly => with_header,
        };
        assert_eq!(other_form, 0, "checksums of another form: {counters:?}");
        for keepalived in theirs {
            let lines = keepalived.process().output().entries();
            let complaint = lines.iter().find(|line| {
                line.text.contains("VI_1")
                    && Keepalived::COMPLAINTS
                        .iter()
                        .any(|word| line.text.contains(word))
            });
            assert_eq!(complaint, None, "{}", keepalived.process().log());
        }
        Ok(())
    }

    /// Asserts that tshark finds no problem in the frames of the vrrpd host, and that the checksum of each
    /// advertisement has the form that is expected at its time.
    pub(crate) fn assert_dissected(&self, form: impl Fn(Moment) -> Checksum) -> Result<()> {
        let sent = tshark::dissect(&self.card, self.dialect.expected())?;
        let kind = |wanted: fn(&tshark::Dissected) -> bool| {
            sent.iter().filter(|frame| wanted(frame)).count()
        };
        assert!(
            kind(|frame| frame.priority.is_some_and(|priority| priority > 0)) > 3,
            "{sent:#?}"
        );
        assert!(
            kind(|frame| frame.announces) > 0,
            "no announcement in {sent:#?}"
        );
        let adverts = sent.iter().filter(|frame| frame.priority.is_some());
        for advert in adverts {
            assert_eq!(advert.checksum, form(advert.at), "{advert:?} of {sent:#?}");
        }
        Ok(())
    }

    /// Asserts that the two hosts never held the address at the same time for longer than a hand-over
    /// takes.
    pub(crate) fn assert_one_holder(&self, watches: &[&AddressWatch]) {
        for (from, to) in held_twice(watches, VIP) {
            let to = to.unwrap_or_else(Moment::now);
            assert!(
                to.since(from) < LATE,
                "both hosts held the address from {from} to {to}"
            );
        }
    }
}

/// Creates a host of the course with a check script that starts its web server.
fn with_httpd(name: &str) -> Result<Host> {
    let host = Host::with_disks(name, &["/usr/local"])?;
    let httpd = vrrp_lab::exe()?;
    let start = format!(
        "{} __httpd --name {name} --pid-file /run/httpd/httpd.pid --listen 0.0.0.0:80 --daemon",
        httpd.display()
    );
    let script = format!("#!/bin/sh\n[ -e /var/run/httpd/httpd.pid ] || {start}\n");
    host.write("/usr/local/httpd.sh", script, 0o755)?;
    Ok(host)
}
