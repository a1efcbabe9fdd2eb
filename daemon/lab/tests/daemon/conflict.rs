//! Other hosts that claim a virtual address by ARP or neighbour discovery.

use std::net::{IpAddr, Ipv6Addr, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Filter, Impairment, Moment, Result};
use vrrp_proto::MacAddress;
use vrrp_proto::State::{Backup, Master};
use vrrp_proto::wire::{arp, ndisc};

use crate::common::{INTERVAL, SOON, Station, VIP, assert_rhythm, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);

/// Beginning of the log line about a claim.
const LINE: &str = "VI_1: address conflict: the host with MAC address ";

fn lines(daemon: &Vrrpd<'_>) -> usize {
    daemon.process().log().matches(LINE).count()
}

fn claim_of(address: IpAddr, mac: MacAddress) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp::gratuitous(mac, address).to_vec(),
        IpAddr::V6(address) => ndisc::unsolicited(mac, address).to_vec(),
    }
}

pub(crate) fn third_host_that_claims_the_address_is_told() -> Outcome {
    let pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let mac = MacAddress(stranger.host.mac("ens33")?);
    let both = |priority| {
        let addresses = json!({ "virtualAddresses": ["192.168.224.100/24", format!("{VIP6}/64")] });
        only(with(instance(priority), addresses))
    };
    let (a, b) = pair.start_with(&both(HIGH), &both(LOW))?;
    pair.lan.settle(VIP)?;
    let told = |address: IpAddr| -> Result<u64> {
        let line = format!("{LINE}{mac} claims {address} on ens33 although this host is master");
        a.process()
            .wait_for_line(|said| said.contains(&line), SOON)?;
        let status = a.instance("VI_1")?;
        let claim = status.address_conflict.expect("a claim in the status");
        assert_eq!((claim.address, claim.mac), (address, mac.to_string()));
        assert_eq!(&*claim.interface, "ens33");
        Ok(status.counters.address_conflicts)
    };

    // It has the address, and asks for a neighbour from it.
    let claimed = Moment::now();
    stranger.host.add_address("ens33", VIP, 24)?;
    stranger.host.run(|| -> std::io::Result<usize> {
        let asks = UdpSocket::bind((VIP, 0))?;
        asks.send_to(&[0], (pair.b.address, 9))
    })?;
    let of_arp = told(VIP)?;
    stranger.host.delete_address("ens33", VIP)?;

    let frames = vec![claim_of(VIP6.into(), mac)];
    let pace = Some(Duration::from_millis(100));
    let flood = stranger.host.flood("ens33", frames, pace)?;
    let of_both = told(VIP6.into())?;
    flood.stop()?;
    assert!(0 < of_arp && of_arp < of_both, "{of_arp} {of_both}");

    assert_eq!(lines(&a), 2, "one for each address");
    // One announcement in ten seconds, for all addresses.
    pair.lan.announcement(VIP, claimed)?;
    let answers = pair.lan.announcements(VIP, claimed);
    assert!(
        answers.len() as u64 <= 1 + claimed.elapsed().as_secs() / 10,
        "{answers:?}"
    );
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.state, a.counters.became_master), (Master, 1));
    assert_eq!((b.state, b.counters.address_conflicts), (Backup, 0));
    Ok(())
}

pub(crate) fn flood_of_claims_delays_no_advertisement() -> Outcome {
    let mut pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let source = stranger.host.mac("ens33")?;
    // Without the filter the stranger's frames would fill the memory of the test.
    let filter = Filter::all().not_from(source);
    pair.lan.frames = pair.lan.segment.capture(filter)?;
    let (a, b) = pair.start()?;
    pair.lan.settle(VIP)?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    // Each of another host, from the same sender.
    let frame = |last| {
        let mut frame = claim_of(VIP, MacAddress([2, 0, 0, 0, 1, last]));
        frame[6..12].copy_from_slice(&source);
        frame
    };
    let frames = (0..=255).map(frame).collect();
    let flood = stranger
        .host
        .flood("ens33", frames, Some(Duration::from_millis(5)))?;
    while from.elapsed() < Duration::from_secs(3) {
        pair.lan.pass(&pair.a, 1)?;
    }
    let sent = flood.stop()?;
    assert!(sent.frames > 10_000, "too few frames for a flood: {sent:?}");
    pair.lan.pass(&pair.a, 3)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    assert_eq!((lines(&a), lines(&b)), (1, 0));
    let status = a.instance("VI_1")?;
    let counted = status.counters.address_conflicts;
    assert!((100..=sent.frames).contains(&counted), "{counted} {sent:?}");
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    Ok(())
}

/// Neither a switch in both directions nor two masters at the same time, in each form of the MAC address.
pub(crate) fn former_and_second_masters_are_no_conflict() -> Outcome {
    for virtual_mac in [false, true] {
        let pair = Pair::new()?;
        let client = pair.lan.station("client", 66)?;
        let config = |priority| {
            let mac = json!({ "virtualMac": virtual_mac });
            only(with(instance(priority), mac))
        };
        let (a, b) = pair.start_with(&config(HIGH), &config(LOW))?;
        pair.lan.settle(VIP)?;
        // Both kernels may answer.
        let asks = || -> Outcome {
            client.host.shell("ip neighbour flush dev ens33")?;
            client.host.run(|| drop(TcpStream::connect((VIP, 9))));
            Ok(())
        };
        asks()?;
        let stopped = Moment::now();
        a.stop()?;
        b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
        after_a_take_over(&pair, &pair.b)?;
        asks()?;
        let started = Moment::now();
        let a = Vrrpd::start(&pair.a.host, &config(HIGH))?;
        a.wait_for("VI_1", Backup, Master, started, SOON)?;
        asks()?;
        after_a_take_over(&pair, &pair.a)?;

        let cut = Moment::now();
        pair.a.cable.set(Impairment::mute())?;
        b.wait_for("VI_1", Backup, Master, cut, SOON)?;
        after_a_take_over(&pair, &pair.b)?;
        let joined = Moment::now();
        pair.a.cable.set(Impairment::default())?;
        b.wait_for("VI_1", Master, Backup, joined, SOON)?;
        after_a_take_over(&pair, &pair.a)?;
        for daemon in [&a, &b] {
            let counters = daemon.instance("VI_1")?.counters;
            assert_eq!((counters.address_conflicts, lines(daemon)), (0, 0));
        }
    }
    Ok(())
}

/// Waits until a new master hears claims, and some that were made in the meantime have been counted.
fn after_a_take_over(pair: &Pair, master: &Station) -> Outcome {
    pair.lan.pass(master, 15)?;
    Ok(())
}
