//! docs/recipes/gateway.md and docs/recipes/conntrackd.md.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Cable, Error, Host, Moment, Process, Result, Segment};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, Station, wait_until};
use crate::site::{INSTANCE, Site, VIP, address, start};

/// Virtual address inside, and its instance.
const INSIDE_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const INSIDE: &str = "VI_2";

/// Default advertisement interval, which the pages use.
const INTERVAL: Duration = Duration::from_secs(1);

/// Server outside.
const SERVER: IpAddr = address(80);

pub(crate) fn gateway_pair_translates_after_each_failure() -> Outcome {
    let gateways = Gateways::new("gateway")?;
    let site = &gateways.site;
    let (a, b) = gateways.daemons()?;
    gateways.serve()?;
    let client = gateways.client.client(SERVER)?;
    let as_seen = VIP.to_string();
    client.wait_for(&as_seen, SOON)?;

    let pulled = Moment::now();
    site.a.cable.pull()?;
    for instance in [INSTANCE, INSIDE] {
        b.wait_for(instance, Backup, Master, pulled, SOON)?;
        a.wait_for_state(instance, Fault, SOON)?;
    }
    let served = client.wait_for(&as_seen, SOON)?;
    site.assert_outage(&client, "a cable of `gw1` outside", pulled, served)?;
    gateways.wait_for_only_holder(&site.b)?;

    let plugged = Moment::now();
    site.a.cable.plug()?;
    b.wait_for(INSTANCE, Master, Backup, plugged, SOON)?;
    gateways.wait_for_only_holder(&site.a)?;
    let served = client.wait_for(&as_seen, SOON)?;
    site.assert_outage(&client, "the cable is back", plugged, served)?;

    let pulled = Moment::now();
    gateways.cable.pull()?;
    b.wait_for(INSIDE, Backup, Master, pulled, SOON)?;
    let served = client.wait_for(&as_seen, SOON)?;
    site.assert_outage(&client, "a cable of `gw1` inside", pulled, served)?;
    gateways.wait_for_only_holder(&site.b)?;
    gateways.cable.plug()?;
    gateways.wait_for_only_holder(&site.a)?;

    let dead = Moment::now();
    site.a.host.power_off()?;
    b.wait_for(INSTANCE, Backup, Master, dead, SOON)?;
    let served = client.wait_for(&as_seen, SOON)?;
    site.assert_outage(&client, "`gw1` loses power", dead, served)?;

    let booted = Moment::now();
    site.a.host.power_on()?;
    set_up(&site.a.host)?;
    let _a = site.daemon(&site.a)?;
    b.wait_for(INSIDE, Master, Backup, booted, SOON)?;
    gateways.wait_for_only_holder(&site.a)?;
    let served = client.wait_for(&as_seen, SOON)?;
    site.assert_outage(&client, "`gw1` is back", booted, served)?;
    Ok(())
}

pub(crate) fn connection_waits_for_the_client_without_conntrackd() -> Outcome {
    let gateways = Gateways::new("gateway")?;
    let site = &gateways.site;
    let (_a, b) = gateways.daemons()?;
    let mut connection = gateways.connect()?;
    connection.push()?;
    let dead = Moment::now();
    site.a.host.power_off()?;
    b.wait_for(INSTANCE, Backup, Master, dead, SOON)?;
    gateways.wait_for_only_holder(&site.b)?;
    // The new master drops a packet of the server, without a reset.
    connection.client.set_read_timeout(Some(INTERVAL))?;
    let pushed = connection.push();
    assert!(pushed.is_err(), "the new master knows the connection");
    connection.client.set_read_timeout(Some(SOON))?;
    connection.client.write_all(b"y")?;
    connection.server.read_exact(&mut [0])?;
    // TCP repeats what the new master dropped.
    connection.client.read_exact(&mut [0])?;
    Ok(())
}

pub(crate) fn connection_survives_takeover_with_conntrackd() -> Outcome {
    let gateways = Gateways::new("conntrackd")?;
    let site = &gateways.site;
    let sync = Segment::new("sync")?;
    for (station, last) in [(&site.a, 11), (&site.b, 12)] {
        sync.attach(&station.host, "eth2", &format!("10.0.9.{last}/24"))?;
    }
    let first = conntrackd(&site.a.host)?;
    let _second = conntrackd(&site.b.host)?;
    let (_a, b) = gateways.daemons()?;
    let mut connection = gateways.connect()?;
    connection.push()?;
    wait_until(&site.b.host, "conntrackd -e | grep -q dport=5000")?;

    let dead = Moment::now();
    site.a.host.power_off()?;
    b.wait_for(INSTANCE, Backup, Master, dead, SOON)?;
    // The server sends first, to a gateway that has never seen this connection.
    let pushed = connection.push()?;
    site.assert_bound("`gw1` loses power", pushed.since(dead))?;
    gateways.wait_for_only_holder(&site.b)?;

    let booted = Moment::now();
    site.a.host.power_on()?;
    set_up(&site.a.host)?;
    // The network namespace of the lab's host survived with its connections.
    site.a.host.shell("conntrack --flush")?;
    drop(first);
    let _first = conntrackd(&site.a.host)?;
    let _a = site.daemon(&site.a)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    gateways.wait_for_only_holder(&site.a)?;
    let back = Moment::now();
    let pushed = connection.push()?;
    site.assert_bound("`gw1` is back", pushed.since(back))?;
    Ok(())
}

/// Two gateways of a page, with a client inside and a server outside.
struct Gateways {
    site: Site,
    /// Cable of the first gateway inside.
    cable: Cable,
    client: Host,
    server: Station,
}

impl Gateways {
    fn new(page: &str) -> Result<Self> {
        let site = Site::new(page, "gw1", "gw2")?;
        let inside = Segment::new("inside")?;
        let cable = inside.attach(&site.a.host, "eth1", "10.0.0.11/24")?;
        inside.attach(&site.b.host, "eth1", "10.0.0.12/24")?;
        for gateway in [&site.a, &site.b] {
            set_up(&gateway.host)?;
        }
        let client = Host::new("inside")?;
        inside.attach(&client, "eth0", "10.0.0.20/24")?;
        client.shell(&format!("ip route add default via {INSIDE_VIP}"))?;
        let server = site.station("server", 80)?;
        Ok(Self {
            site,
            cable,
            client,
            server,
        })
    }

    /// Starts both daemons. On return the first gateway is master of both instances.
    fn daemons(&self) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let (a, b) = self.site.daemons()?;
        a.wait_for_state(INSIDE, Master, SOON)?;
        b.wait_for_state(INSIDE, Backup, SOON)?;
        self.wait_for_only_holder(&self.site.a)?;
        Ok((a, b))
    }

    /// Waits until one gateway has both addresses, the other none, and client and server know that. Until then
    /// they may send to the other gateway, which forwards as well.
    fn wait_for_only_holder(&self, gateway: &Station) -> Result<()> {
        let (site, server) = (&self.site, &self.server.host);
        site.wait_for_only_holder_of((VIP, "eth0"), gateway, server)?;
        site.wait_for_only_holder_of((INSIDE_VIP, "eth1"), gateway, &self.client)
    }

    /// Starts a web server outside that answers with the address of its client.
    fn serve(&self) -> Result<()> {
        let listener = self.listen(80)?;
        std::thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                // The client may have given up.
                let _ = answer(stream, peer.ip());
            }
        });
        Ok(())
    }

    fn listen(&self, port: u16) -> Result<TcpListener> {
        self.server
            .host
            .run(|| TcpListener::bind((SERVER, port)))
            .map_err(|error| Error::new("listening on the server", error))
    }

    /// Connects from inside to the server.
    fn connect(&self) -> Result<Connection> {
        let failed = |error| Error::new("connecting to the server", error);
        let listener = self.listen(5000)?;
        let client = self.client.run(|| TcpStream::connect((SERVER, 5000)));
        let client = client.map_err(failed)?;
        let (server, peer) = listener.accept().map_err(failed)?;
        assert_eq!(peer.ip(), VIP);
        client.set_read_timeout(Some(SOON)).map_err(failed)?;
        Ok(Connection { server, client })
    }
}

/// Connection from inside to the server.
struct Connection {
    server: TcpStream,
    client: TcpStream,
}

impl Connection {
    /// Sends a byte from the server, and waits until the client has it. Returns the time.
    fn push(&mut self) -> Result<Moment> {
        let failed = |error| Error::new("sending from the server to the client", error);
        self.server.write_all(b"x").map_err(failed)?;
        self.client.read_exact(&mut [0]).map_err(failed)?;
        Ok(Moment::now())
    }
}

fn answer(mut stream: TcpStream, peer: IpAddr) -> std::io::Result<()> {
    let mut line = String::new();
    let mut request = BufReader::new(stream.try_clone()?);
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let page = peer.to_string();
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}

/// Loads the rules of the page, as nftables.service does at each boot.
fn set_up(gateway: &Host) -> Result<()> {
    gateway.shell("nft --file /etc/nftables.conf").map(drop)
}

fn conntrackd(gateway: &Host) -> Result<Process> {
    gateway.shell("mkdir -p /run/lock")?;
    let service = start(gateway, &["conntrackd"])?;
    service.wait_for_line(|line| line.contains("starting in console mode"), SOON)?;
    Ok(service)
}
