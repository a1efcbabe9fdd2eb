//! Fixture of a recipe: two hosts of a page on one network, and a client.

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::{Client, Error, Filter, Host, Moment, Process, Result, Segment};
use vrrp_proto::State::{Backup, Master};

use crate::common::{Lan, SOON, Station};
use crate::page::Page;

/// Virtual address of all pages.
pub(crate) const VIP: IpAddr = address(100);

/// Name of the instance on all pages.
pub(crate) const INSTANCE: &str = "VI_1";

/// Allowance for a busy machine and for the client, which asks every 10 ms and waits 150 ms for an answer.
const BUSY: Duration = Duration::from_millis(750);

/// Address of the pages' network with this last byte.
pub(crate) const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

/// The hosts of a page, 192.0.2.11 and 192.0.2.12, and a client.
pub(crate) struct Site {
    pub(crate) page: Page,
    pub(crate) lan: Lan,
    pub(crate) a: Station,
    pub(crate) b: Station,
    pub(crate) client: Station,
}

impl Site {
    /// Creates the hosts of docs/recipes/`page`.md with these names.
    pub(crate) fn new(page: &str, a: &str, b: &str) -> Result<Self> {
        let page = Page::read(page)?;
        let segment = Segment::new("lan")?;
        let frames = segment.capture(Filter::all())?;
        let lan = Lan { segment, frames };
        let a = plug_in(&lan.segment, page.host(a)?, 11)?;
        let b = plug_in(&lan.segment, page.host(b)?, 12)?;
        let client = plug_in(&lan.segment, Host::new("client")?, 200)?;
        Ok(Self {
            page,
            lan,
            a,
            b,
            client,
        })
    }

    /// Attaches a further host with this last byte of its address.
    pub(crate) fn station(&self, name: &str, last: u8) -> Result<Station> {
        plug_in(&self.lan.segment, Host::new(name)?, last)
    }

    /// Starts the daemon of a host with the configuration of the page.
    pub(crate) fn daemon<'s>(&self, station: &'s Station) -> Result<Vrrpd<'s>> {
        let configuration = self.page.configuration(station.host.name())?;
        Vrrpd::start(&station.host, configuration)
    }

    /// Starts both daemons. On return a is master and b backup.
    pub(crate) fn daemons(&self) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let a = self.daemon(&self.a)?;
        let b = self.daemon(&self.b)?;
        a.wait_for_state(INSTANCE, Master, SOON)?;
        b.wait_for_state(INSTANCE, Backup, SOON)?;
        self.wait_for_only_holder(&self.a)?;
        Ok((a, b))
    }

    /// Waits until `holder` has the virtual address, the other host has not, and the client knows that.
    pub(crate) fn wait_for_only_holder(&self, holder: &Station) -> Result<()> {
        self.wait_for_only_holder_of((VIP, "eth0"), holder, &self.client.host)
    }

    /// As [`Site::wait_for_only_holder`], for an address on an interface, and a host that may have the address in
    /// its neighbour table.
    pub(crate) fn wait_for_only_holder_of(
        &self,
        (vip, interface): (IpAddr, &str),
        holder: &Station,
        neighbour: &Host,
    ) -> Result<()> {
        let started = Moment::now();
        let wanted = holder.address == self.a.address;
        let mac = holder.host.mac(interface)?;
        loop {
            let (a, b) = (self.a.host.holds(vip)?, self.b.host.holds(vip)?);
            let known = neighbour.neighbour(vip)?;
            if (a, b) == (wanted, !wanted) && known.is_none_or(|known| known == mac) {
                return Ok(());
            }
            if started.elapsed() > SOON {
                let doing = format!("waiting until only {} holds {vip}", holder.host.name());
                let found = format!("a: {a}, b: {b}, MAC address in the client: {known:x?}");
                return Err(Error::new(doing, found));
            }
            // A state without events that a test could wait for.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asserts that the client got no answer for at most as long as the page promises for this failure, until
    /// `served`, a moment of an answer.
    #[track_caller]
    pub(crate) fn assert_outage(
        &self,
        client: &Client,
        failure: &str,
        since: Moment,
        served: Moment,
    ) -> Result<()> {
        self.assert_bound(failure, client.outage(since, served))
    }

    /// Asserts that an outage was at most as long as the page promises for this failure.
    #[track_caller]
    pub(crate) fn assert_bound(&self, failure: &str, outage: Duration) -> Result<()> {
        let bound = self.page.bound(failure)?;
        assert!(
            outage <= bound + BUSY,
            "{failure}: no answer for {outage:?}, longer than {bound:?}"
        );
        report(failure, outage, bound);
        Ok(())
    }
}

/// Prints a measured outage, with `VRRP_RECIPES=1` in the environment.
#[expect(
    clippy::print_stderr,
    reason = "a measurement for the author of a page"
)]
fn report(failure: &str, outage: Duration, bound: Duration) {
    if std::env::var_os("VRRP_RECIPES").is_some() {
        eprintln!("{failure}: {outage:?}, at most {bound:?}");
    }
}

/// Attaches a host by its interface eth0.
pub(crate) fn plug_in(segment: &Segment, host: Host, last: u8) -> Result<Station> {
    Station::attach(segment, host, "eth0", Ipv4Addr::new(192, 0, 2, last))
}

/// Starts a program on a host.
pub(crate) fn start(host: &Host, command: &[&str]) -> Result<Process> {
    let (program, arguments) = command.split_first().unwrap_or((&"false", &[]));
    let mut command = Command::new(program);
    command.args(arguments);
    host.spawn(command)
}

/// Waits until a host accepts connections at a port.
pub(crate) fn wait_for_port(host: &Host, service: &Process, address: &str) -> Result<()> {
    let started = Moment::now();
    while host.run(|| TcpStream::connect(address)).is_err() {
        if started.elapsed() > SOON || !service.is_running() {
            return Err(Error::new(
                format!("waiting for {service} to accept connections at {address}"),
                service.log(),
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
