//! Unicast peers instead of the multicast group: the same behaviour, without a single multicast frame.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Frame, Moment, Result};
use vrrp_proto::State::{Backup, Fault, Master};
use vrrp_proto::wire::{GROUP_V4, PROTOCOL};

use crate::common::{
    INTERVAL, Lan, SOON, Station, VIP, assert_rhythm, assert_waited, down_interval, instance, only,
    skew, with,
};
use crate::packets::{forge_from, forged};
use crate::pair::{HIGH, LOW, Pair};

/// Returns the usual instance with these peers.
fn unicast_instance(priority: u8, peers: Value) -> String {
    only(with(
        instance(priority),
        json!({ "unicast": { "peers": peers } }),
    ))
}

/// Returns the list of both hosts, which is valid on each of them.
fn pair() -> Value {
    json!(["192.168.224.11", "192.168.224.12"])
}

/// Advertisements sent to an Ethernet multicast address, which has the lowest bit of the first byte set.
fn multicast_frames(lan: &Lan) -> Vec<Frame> {
    let frames = lan.frames.frames().entries();
    frames
        .into_iter()
        .filter(|frame| frame.ip_protocol() == Some(PROTOCOL))
        .filter(|frame| frame.destination()[0] & 1 == 1)
        .collect()
}

pub(crate) fn unicast_pair_fails_over_without_multicast() -> Outcome {
    let pair_of_hosts = Pair::new()?;
    let Pair {
        lan,
        a: first,
        b: second,
    } = &pair_of_hosts;
    let (a, b) = pair_of_hosts.start_with(
        &unicast_instance(HIGH, pair()),
        &unicast_instance(LOW, pair()),
    )?;
    let from = lan.pass(first, 1)?.at;
    lan.pass(first, 10)?;
    assert_rhythm(&lan.adverts_of(first, 51, from), INTERVAL);
    assert_eq!(b.instance("VI_1")?.counters.dropped.total(), 0);

    let stopped = Moment::now();
    assert_eq!(a.stop()?.code(), Some(0));
    let resigned = lan.advert(stopped, |advert| advert.priority == 0)?;
    let takeover = lan.advert_of(second, stopped)?;
    assert_waited(resigned.at, takeover.at, skew(LOW, INTERVAL));
    drop(a);

    let back = Moment::now();
    let a = Vrrpd::start(&first.host, &unicast_instance(HIGH, pair()))?;
    a.wait_for("VI_1", Backup, Master, back, SOON)?;
    b.wait_for("VI_1", Master, Backup, back, SOON)?;
    lan.pass(first, 3)?;
    let died = Moment::now();
    first.host.power_off()?;
    let takeover = lan.advert_of(second, died)?;
    let last = lan.last_advert_of(first)?;
    assert_waited(last.at, takeover.at, down_interval(LOW, INTERVAL));
    second.address_event(VIP, true, died)?;
    assert_eq!(multicast_frames(lan), []);
    Ok(())
}

pub(crate) fn unicast_stranger_is_counted_and_ignored() -> Outcome {
    let pair_of_hosts = Pair::new()?;
    let Pair { lan, a: first, .. } = &pair_of_hosts;
    let stranger = lan.station("stranger", 66)?;
    let (a, _b) = pair_of_hosts.start_with(
        &unicast_instance(HIGH, pair()),
        &unicast_instance(LOW, pair()),
    )?;
    let from = lan.pass(first, 1)?.at;
    let socket = forge_from(&stranger.host)?;
    for to in [first.address, GROUP_V4] {
        let packet = forged(stranger.address, to);
        let to = SockaddrIn::from(std::net::SocketAddrV4::new(to, 0));
        sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty())?;
    }
    let dropped = || -> Result<_> {
        let status = a.instance("VI_1")?;
        let dropped = status.counters.dropped;
        Ok((status.state, dropped.NotAPeer, dropped.WrongCast))
    };
    while dropped()? != (Master, 1, 1) {
        assert!(from.elapsed() < SOON, "{:?}", dropped()?);
        lan.pass(first, 1)?;
    }
    lan.pass(first, 8)?;
    assert_rhythm(&lan.adverts_of(first, 51, from), INTERVAL);
    Ok(())
}

pub(crate) fn missing_source_address_is_fault_until_added() -> Outcome {
    let pair = Pair::new()?;
    let Pair { lan, a: first, .. } = &pair;
    let later = Ipv4Addr::new(192, 168, 224, 21);
    let config = only(with(
        instance(HIGH),
        json!({ "source": later, "unicast": { "peers": ["192.168.224.12"] } }),
    ));
    let a = Vrrpd::start(&first.host, &config)?;
    a.wait_for_state("VI_1", Fault, SOON)?;
    first.host.add_address("ens33", later.into(), 24)?;
    a.wait_for_state("VI_1", Master, SOON)?;
    lan.advert(Moment::default(), |advert| advert.source == later)?;
    assert_eq!(multicast_frames(lan), []);
    Ok(())
}

/// The kernel of the master asks for a neighbour without an entry once a second only, and the returning
/// host listens for 0.3 s.
pub(crate) fn returned_backup_hears_unicast_master_at_once() -> Outcome {
    let pair_of_hosts = Pair::new()?;
    let Pair { lan, a, b } = &pair_of_hosts;
    let keeps = |priority| {
        only(with(
            instance(priority),
            json!({ "unicast": { "peers": pair() }, "preempt": false }),
        ))
    };
    let daemons = pair_of_hosts.start_with(&keeps(HIGH), &keeps(LOW))?;
    let addresses = (a.address.into(), b.address.into());
    returns_to_master(lan, (a, b), &daemons, addresses)
}

/// Pulls the cable of the master a, so that b takes over, and plugs it in several times, each time when the
/// kernel of b has asked for a in vain: a has to hear b although b has no neighbour entry for it.
pub(crate) fn returns_to_master(
    lan: &Lan,
    (a, b): (&Station, &Station),
    (daemon_a, daemon_b): &(Vrrpd<'_>, Vrrpd<'_>),
    (address_a, address_b): (IpAddr, IpAddr),
) -> Outcome {
    let mut pulled = Moment::now();
    a.cable.pull()?;
    daemon_a.wait_for("VI_1", Master, Fault, pulled, SOON)?;
    daemon_b.wait_for("VI_1", Backup, Master, pulled, SOON)?;
    let was_master =
        |daemon: &Vrrpd<'_>| -> Result<_> { Ok(daemon.instance("VI_1")?.counters.became_master) };
    let before = was_master(daemon_a)?;
    let frames = lan.frames.frames();
    for _ in 0..3 {
        b.host.shell("ip neigh flush dev ens33")?;
        let flushed = Moment::now();
        let in_vain = |frame: &Frame| frame.at > flushed && frame.asks(address_b, address_a);
        assert!(
            frames.wait_for(in_vain, SOON).is_some(),
            "b does not ask for a"
        );
        let plugged = Moment::now();
        a.cable.plug()?;
        daemon_a.wait_for("VI_1", Fault, Backup, plugged, SOON)?;
        let mut last = plugged;
        for _ in 0..10 {
            last = lan.advert(last, |advert| advert.source == address_b)?.at;
        }
        assert_eq!(was_master(daemon_a)?, before, "a did not hear the master");
        let asked = |frame: &Frame| frame.at > plugged && frame.asks(address_a, address_b);
        assert!(
            frames.wait_for(asked, SOON).is_some(),
            "a does not ask for b"
        );
        daemon_a.wait_for_state("VI_1", Backup, SOON)?;
        pulled = Moment::now();
        a.cable.pull()?;
        daemon_a.wait_for("VI_1", Backup, Fault, pulled, SOON)?;
    }
    assert_eq!(was_master(daemon_b)?, 1);
    Ok(())
}

/// A host that boots before its resolver works hears the master, whose address it does not know yet.
pub(crate) fn unresolved_peer_name_causes_no_second_master() -> Outcome {
    let pair_of_hosts = Pair::new()?;
    let Pair { lan, a, b } = &pair_of_hosts;
    hide_hosts_file(b)?;
    let daemon_a = Vrrpd::start(&a.host, &unicast_instance(HIGH, pair()))?;
    daemon_a.wait_for_state("VI_1", Master, SOON)?;
    let peers = json!(["router1.example"]);
    let daemon_b = Vrrpd::start(&b.host, &unicast_instance(LOW, peers))?;
    daemon_b.process().wait_for_line(
        |line| line.contains("cannot resolve peer router1.example"),
        SOON,
    )?;
    lan.pass(a, 10)?;
    let unicast = || -> Result<_> { Ok(daemon_b.instance("VI_1")?.unicast) };
    let status = unicast()?.ok_or("no unicast peers in the status")?;
    assert_eq!(status.peers[0].addresses, [IpAddr::V4(a.address); 0]);
    assert_eq!(status.senders, [IpAddr::V4(a.address)]);

    resolve(b, "192.168.224.11 router1.example")?;
    daemon_b.process().wait_for_line(
        |line| line.contains("peer router1.example resolves to 192.168.224.11"),
        SOON,
    )?;
    lan.pass(a, 10)?;
    let status = unicast()?.ok_or("no unicast peers in the status")?;
    assert_eq!(status.peers[0].addresses, [IpAddr::V4(a.address)]);
    let counters = daemon_b.instance("VI_1")?.counters;
    assert_eq!(counters.became_master, 0);
    assert_eq!(counters.dropped.total(), 0);
    daemon_b.wait_for_state("VI_1", Backup, SOON)?;

    // The master advertises to a name that is resolved: it can go.
    let died = Moment::now();
    a.host.power_off()?;
    daemon_b.wait_for("VI_1", Backup, Master, died, SOON)?;
    Ok(())
}

/// A wrong answer of the name service while the peer is master.
pub(crate) fn former_address_of_peer_name_remains_a_peer() -> Outcome {
    let pair_of_hosts = Pair::new()?;
    let Pair { lan, a, b } = &pair_of_hosts;
    hide_hosts_file(b)?;
    resolve(b, "192.168.224.11 router1.example")?;
    let config = unicast_instance(LOW, json!(["router1.example"]));
    let (_a, daemon) = pair_of_hosts.start_with(&unicast_instance(HIGH, pair()), &config)?;
    resolve(b, "192.168.224.77 router1.example")?;
    daemon.reload(&config)?;
    daemon.process().wait_for_line(
        |line| line.contains("resolves to 192.168.224.77, no longer to 192.168.224.11"),
        SOON,
    )?;
    lan.pass(a, 10)?;
    let status = daemon.instance("VI_1")?;
    assert_eq!(status.state, Backup);
    assert_eq!(status.counters.became_master, 0);
    let peers = status
        .unicast
        .ok_or("no unicast peers in the status")?
        .peers;
    assert_eq!(peers[0].addresses, [IpAddr::from([192, 168, 224, 77])]);
    assert_eq!(peers[0].former, [IpAddr::V4(a.address)]);
    // The master that leaves is still obeyed.
    let died = Moment::now();
    a.host.power_off()?;
    daemon.wait_for("VI_1", Backup, Master, died, SOON)?;
    Ok(())
}

/// Lets the names of a host be those of [`resolve`]. Bind mounts hide the files of the machine, which only
/// their owner could change.
fn hide_hosts_file(station: &Station) -> Result<()> {
    let host = &station.host;
    host.write("/run/nsswitch.conf", "hosts: files\n", 0o644)?;
    host.write("/run/hosts", "", 0o644)?;
    for file in ["hosts", "nsswitch.conf"] {
        host.shell(&format!("mount --bind /run/{file} /etc/{file}"))?;
    }
    Ok(())
}

/// Replaces the names that a host resolves by one line of hosts(5).
fn resolve(station: &Station, line: &str) -> Result<()> {
    station.host.write("/run/hosts", format!("{line}\n"), 0o644)
}

/// A name server that comes up late, and a peer that moves to another address.
pub(crate) fn peer_name_is_resolved_repeatedly() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let b = lan.station("b", 12)?;
    let is_called = |address: &str| resolve(&a, &format!("{address} router2.example"));
    hide_hosts_file(&a)?;
    let config = unicast_instance(HIGH, json!(["router2.example"]));
    let daemon = Vrrpd::start(&a.host, &config)?;
    let process = daemon.process();
    process.wait_for_line(
        |line| line.contains("cannot resolve peer router2.example"),
        SOON,
    )?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    assert_eq!(lan.adverts(), [], "no advertisement without a peer address");

    is_called("192.168.224.12")?;
    lan.advert_of(&a, Moment::default())?;
    let peers = || -> Result<_> { Ok(daemon.instance("VI_1")?.unicast.map(|u| u.peers)) };
    let known = peers()?.ok_or("no unicast peers in the status")?;
    assert_eq!(known[0].addresses, [IpAddr::V4(b.address)]);

    // A reload resolves the name at once, not after the interval of a minute.
    is_called("192.168.224.13")?;
    let moved = lan.station("c", 13)?;
    let asked = Moment::now();
    daemon.reload(&config)?;
    let to_the_other = |frame: &Frame| {
        frame.at > asked
            && frame.ip_protocol() == Some(PROTOCOL)
            && moved
                .host
                .mac("ens33")
                .is_ok_and(|mac| frame.destination() == mac)
    };
    let arrived = lan.frames.frames().wait_for(to_the_other, SOON);
    assert!(arrived.is_some(), "no advertisement to the new address");
    Ok(())
}
