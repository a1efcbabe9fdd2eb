//! Invalid packets: counted by cause, logged once, and without effect.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, setsockopt,
    socket, sockopt,
};
use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Filter, Frame, Host, Moment, Result, ipv4_frame};
use vrrp_proto::State::{Backup, Fault, Master};
use vrrp_proto::wire::hmac::{Key, KeyId, Sequence, TRAILER_LEN, sign};
use vrrp_proto::wire::{
    self, AddressList, Auth, ChecksumForm, DropCause, Expected, GROUP_V4, HOP_LIMIT, ipv4,
};
use vrrp_proto::{AdvertInterval, Instant, InterfaceIndex, Packet, Password, Version, Vrid};

use crate::common::{INTERVAL, Lan, SOON, assert_rhythm, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

/// Number of times that each packet is sent.
const TIMES: usize = 5;

/// Source address of the packets.
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 168, 224, 66);

pub(crate) fn packets_of_version_3_are_dropped_by_cause() -> Outcome {
    let valid = || Forged::new(Version::V3, Auth::None);
    let forged = [
        (DropCause::HopLimit, valid().with_ttl(254)),
        (DropCause::Version, valid().with_byte(0, 0x21)),
        (DropCause::Version, valid().with_byte(0, 0x41)),
        (DropCause::Type, valid().with_byte(0, 0x32)),
        (DropCause::Length, valid().cut(7)),
        (DropCause::Length, valid().cut(11)),
        (DropCause::Checksum, valid().with_byte(7, 0x5a)),
        (
            DropCause::ZeroInterval,
            valid().changed(|message| message[4..6].fill(0)),
        ),
        (
            DropCause::NoAddresses,
            valid().changed(|message| {
                message[3] = 0;
                message.truncate(8);
            }),
        ),
    ];
    are_dropped("100ms", json!({}), &forged)
}

pub(crate) fn packets_of_version_2_are_dropped_by_cause() -> Outcome {
    let password = |text: &[u8]| Password::new(text).map_or(Auth::None, Auth::Pass);
    let valid = || Forged::new(Version::V2, password(b"1111"));
    let forged = [
        (DropCause::HopLimit, valid().with_ttl(1)),
        (DropCause::Version, Forged::new(Version::V3, Auth::None)),
        (DropCause::Length, valid().cut(19)),
        (DropCause::Checksum, valid().with_byte(6, 0x5a)),
        (DropCause::AuthType, Forged::new(Version::V2, Auth::None)),
        (
            DropCause::AuthPassword,
            Forged::new(Version::V2, password(b"1112")),
        ),
        (
            DropCause::Interval,
            valid().changed(|message| message[5] = 2),
        ),
    ];
    let two = json!({ "version": 2, "authentication": { "pass": { "password": "1111" } } });
    are_dropped("1s", two, &forged)
}

pub(crate) fn unauthenticated_packets_are_dropped_by_cause() -> Outcome {
    const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH)?;
    let signed = |number, secret: &[u8; 32], wall| {
        let key = KeyId::new(number).and_then(|id| Key::new(id, secret));
        Forged::new(Version::V3, Auth::None).signed(&key.expect("a valid key"), wall)
    };
    let end = Forged::new(Version::V3, Auth::None).message.len();
    let forged = [
        (DropCause::HmacMissing, Forged::new(Version::V3, Auth::None)),
        (
            DropCause::HmacMissing,
            signed(1, &SECRET, now).cut(end + 27),
        ),
        (
            DropCause::HmacMalformed,
            signed(1, &SECRET, now).with_byte(end, 2),
        ),
        (
            DropCause::HmacTime,
            signed(1, &SECRET, now - Duration::from_secs(3600)),
        ),
        (DropCause::HmacKey, signed(2, &SECRET, now)),
        (DropCause::HmacWrong, signed(1, &[7; 32], now)),
        // The checksum is checked before the HMAC.
        (
            DropCause::Checksum,
            signed(1, &SECRET, now).with_byte(7, 0x5a),
        ),
    ];
    let hmac = json!({ "keys": { "1": { "key": str::from_utf8(&SECRET)? } }, "timeWindow": "5m" });
    let more = json!({ "authentication": { "hmac": hmac } });
    are_dropped("100ms", more, &forged)
}

pub(crate) fn flood_of_bad_packets_delays_no_advertisement() -> Outcome {
    let pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let (a, b) = pair.start()?;
    let socket = forge_from(&stranger.host)?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    let bad = Forged::new(Version::V3, Auth::None).with_byte(7, 0x5a);
    // Each packet has another source address, so that it is a reason for a log line of its own.
    let mut sent = 0_u64;
    while from.elapsed() < INTERVAL * 20 {
        for last in 70..90 {
            bad.send(&socket, Ipv4Addr::new(192, 168, 224, last))?;
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    pair.lan.pass(&pair.a, 3)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    for daemon in [&a, &b] {
        let status = daemon.instance("VI_1")?;
        let dropped = status.counters.dropped;
        assert_eq!((dropped.Checksum, dropped.total()), (sent, sent));
        let logged = daemon.process().log().matches("wrong checksum").count();
        assert_eq!(logged, 20, "20 senders, one log line each");
    }
    Ok(())
}

pub(crate) fn flood_fills_neither_log_nor_memory() -> Outcome {
    let mut pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let source = stranger.host.mac("ens33")?;
    // Without the filter the stranger's frames would fill the memory of the test.
    pair.lan.frames = pair.lan.segment.capture(Filter::all().not_from(source))?;
    let (a, b) = pair.start()?;
    let valid = || Forged::new(Version::V3, Auth::None);
    let junk = [
        valid().with_byte(1, 77),
        valid().with_byte(7, 0x5a),
        valid().cut(8),
        valid().with_byte(0, 0x21),
        valid().with_ttl(254),
        // A valid advertisement.
        valid().changed(|message| message[2] = 50),
    ];
    let senders = (67..=250).map(|last| Ipv4Addr::new(192, 168, 224, last));
    let frames = junk
        .iter()
        .map(|forged| forged.frame(source, STRANGER))
        // Each of these has another source address, so that it is a reason for a log line of its own.
        .chain(senders.map(|sender| junk[1].frame(source, sender)))
        .collect();
    let daemons = [(&a, 1), (&b, 0)];
    let memory = || -> Result<Vec<u64>> {
        daemons
            .iter()
            .map(|(daemon, _)| resident(daemon.process().pid()))
            .collect()
    };
    let (before, from) = (memory()?, pair.lan.advert_of(&pair.a, Moment::now())?.at);
    // About 25,000 frames a second, which a busy machine can process in addition to two daemons.
    let pace = Some(Duration::from_millis(10));
    let flood = stranger.host.flood("ens33", frames, pace)?;
    while from.elapsed() < Duration::from_secs(2) {
        pair.lan.pass(&pair.a, 1)?;
    }
    let sent = flood.stop()?;
    assert!(sent.frames > 5_000, "too few frames for a flood: {sent:?}");
    pair.lan.pass(&pair.a, 3)?;
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    // The master also answers the advertisements of lower priority, so only missing advertisements can be
    // detected.
    let adverts = pair.lan.adverts_of(&pair.a, 51, from);
    for two in adverts.windows(2) {
        let gap = two[1].at.since(two[0].at);
        assert!(
            gap < INTERVAL * 2,
            "an advertisement is missing: gap of {gap:?}"
        );
    }
    for ((daemon, became_master), (before, after)) in
        daemons.iter().zip(before.iter().zip(memory()?))
    {
        let counters = daemon.instance("VI_1")?.counters;
        assert_eq!(counters.became_master, *became_master);
        for cause in [
            DropCause::Checksum,
            DropCause::Length,
            DropCause::Version,
            DropCause::HopLimit,
        ] {
            assert!(counters.dropped.get(cause) > 0, "{}", cause.word());
        }
        // A leak of a few bytes per packet would exceed this limit.
        let grown = after.saturating_sub(*before);
        assert!(
            grown < 1024,
            "the daemon's memory grew by {grown} KiB: {sent:?}"
        );
        let log = daemon.process().log();
        let logged = log.matches("(logged once a minute)").count();
        // Log lines for the stranger's own packets, and one for each of the 184 invented senders.
        assert!(logged <= 4 + 184 + 1, "{logged} log lines: {log}");
    }
    Ok(())
}

/// Anonymous memory of a process (RssAnon) in KiB.
fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::new(format!("reading {path}"), error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Error::new(format!("reading {path}"), "no RssAnon in it"))
}

pub(crate) fn router_in_fault_drops_received_packets() -> Outcome {
    let lan = Lan::new()?;
    let (a, stranger) = (lan.station("a", 11)?, lan.station("stranger", 66)?);
    a.host
        .write("/run/check.sh", "#!/bin/sh\nexit 1\n", 0o755)?;
    let daemon = Vrrpd::start(
        &a.host,
        &crate::common::tracked(
            json!({ "check": { "script": { "command": ["/run/check.sh"] } } }),
            json!({ "VI_1": with(instance(HIGH), json!({ "track": ["check"] })) }),
        ),
    )?;
    daemon.wait_for_state("VI_1", Fault, SOON)?;
    let socket = forge_from(&stranger.host)?;
    let valid = || Forged::new(Version::V3, Auth::None);
    valid().send(&socket, STRANGER)?;
    valid().with_byte(7, 0x5a).send(&socket, STRANGER)?;
    let process = daemon.process();
    process.wait_for_line(|line| line.contains("wrong checksum"), SOON)?;
    let dropped = daemon.instance("VI_1")?.counters.dropped;
    assert_eq!((dropped.NotListening, dropped.total()), (1, 2));
    // Advertisements of other routers are expected while this host is in fault, and are not logged.
    assert_eq!(
        process.log().matches("dropped").count(),
        1,
        "{}",
        process.log()
    );
    Ok(())
}

pub(crate) fn checksum_form_follows_peer() -> Outcome {
    let lan = Lan::new()?;
    let (a, stranger) = (lan.station("a", 11)?, lan.station("stranger", 66)?);
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    let before = lan.advert_of(&a, Moment::default())?;
    assert_eq!(
        form_of(&lan, before)?,
        ChecksumForm::WithPseudoHeader,
        "no peer has advertised yet"
    );

    // An advertisement as keepalived with `v3_checksum_as_v2` sends it.
    Forged::new(Version::V3, Auth::None).send(&forge_from(&stranger.host)?, STRANGER)?;
    let line = daemon.wait_for("VI_1", Master, Backup, before.at, SOON)?;
    let after = lan.advert_of(&a, line.at)?;
    assert_eq!(form_of(&lan, after)?, ChecksumForm::MessageOnly);
    let status = daemon.instance("VI_1")?;
    assert_eq!(status.checksum, ChecksumForm::MessageOnly);
    assert_eq!(status.counters.checksums_message_only, 1);
    assert_eq!(status.counters.dropped.total(), 0);
    Ok(())
}

/// Reads the coverage of the checksum of a captured advertisement in version 3.
fn form_of(lan: &Lan, advert: crate::common::Advert) -> Result<ChecksumForm> {
    let frames = lan.frames.frames();
    let frame = frames.wait_for(|frame| frame.at == advert.at, SOON);
    let payload = frame
        .as_ref()
        .and_then(Frame::ip_payload)
        .unwrap_or_default();
    let packet = Packet {
        at: Instant::MAX,
        interface: InterfaceIndex(1),
        source: advert.source,
        destination: GROUP_V4.into(),
        hop_limit: 255,
        payload,
    };
    let expected = Expected {
        version: Version::V3,
        interval: AdvertInterval::DEFAULT,
        auth: Auth::None,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    };
    match wire::Advert::parse(&packet, &expected) {
        Ok(received) => Ok(received.checksum),
        Err(cause) => Err(Error::new("reading an advertisement", cause.to_string())),
    }
}

/// Sends each of `forged` [`TIMES`] times to a pair and asserts the counters, the log lines and the
/// unchanged states.
fn are_dropped(interval: &str, more: Value, forged: &[(DropCause, Forged)]) -> Outcome {
    let pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let whole = |priority| {
        let timed = with(instance(priority), json!({ "advertInterval": interval }));
        only(with(timed, more.clone()))
    };
    let (a, b) = pair.start_with(&whole(HIGH), &whole(LOW))?;
    let socket = forge_from(&stranger.host)?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    let foreign_vrid = Forged::new(Version::V3, Auth::None).with_byte(1, 77);
    for _ in 0..TIMES {
        for (_, packet) in forged {
            packet.send(&socket, STRANGER)?;
        }
        // The kernel filters out a VRID that the daemon does not serve.
        foreign_vrid.send(&socket, STRANGER)?;
        pair.lan.pass(&pair.a, 1)?;
    }
    pair.lan.pass(&pair.a, 2)?;
    let adverts = pair.lan.adverts_of(&pair.a, 51, from);
    assert_rhythm(
        &adverts,
        if interval == "1s" {
            INTERVAL * 10
        } else {
            INTERVAL
        },
    );
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    for (daemon, became_master) in [(&a, 1), (&b, 0)] {
        let status = daemon.status()?;
        let counters = status.instances[0].counters;
        for cause in DropCause::ALL {
            let wanted = TIMES * forged.iter().filter(|(why, _)| why == cause).count();
            let counted = counters.dropped.get(*cause);
            assert_eq!(counted, u64::try_from(wanted)?, "{}", cause.word());
            let word = format!("VI_1: packet from {STRANGER} dropped: {cause}");
            let logged = daemon.process().log().matches(&word).count();
            assert_eq!(logged, usize::from(wanted > 0), "{word}");
        }
        assert_eq!(status.dropped.total(), 0);
        assert_eq!(counters.became_master, became_master);
    }
    Ok(())
}

/// Advertisement with priority 254, which would win the election if one of its properties were not wrong.
struct Forged {
    ttl: u8,
    message: Vec<u8>,
}

impl Forged {
    fn new(version: Version, auth: Auth) -> Self {
        let interval = match version {
            Version::V2 => AdvertInterval::from_seconds(1),
            Version::V3 => AdvertInterval::from_centiseconds(10),
        };
        let advert = wire::Advert {
            version,
            vrid: Vrid::new(51).expect("51 is a VRID"),
            priority: 254,
            interval: interval.expect("the interval is in range"),
            addresses: AddressList::new(&[[192, 168, 224, 100]]),
            auth,
        };
        Self {
            ttl: 255,
            message: advert.emit(ChecksumForm::MessageOnly, STRANGER, GROUP_V4),
        }
    }

    /// Appends an HMAC trailer with `key`, made by a sender with a clock that shows `wall`.
    fn signed(mut self, key: &Key, wall: Duration) -> Self {
        let length = self.message.len() + TRAILER_LEN;
        self.message.resize(length, 0);
        let (source, destination) = (STRANGER.into(), GROUP_V4.into());
        let sequence = Sequence::at(wall);
        sign(&mut self.message, source, destination, key, sequence);
        self
    }

    fn with_ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Replaces a byte without correcting the checksum.
    fn with_byte(mut self, at: usize, byte: u8) -> Self {
        assert_ne!(self.message[at], byte);
        self.message[at] = byte;
        self
    }

    fn cut(mut self, length: usize) -> Self {
        self.message.truncate(length);
        self
    }

    /// Changes the message and corrects the checksum.
    fn changed(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.message);
        self.message[6..8].fill(0);
        let sum: u32 = self
            .message
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let [_, _, high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
        self.message[6..8].copy_from_slice(&[high, low]);
        self
    }

    fn packet(&self, source: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
        let header = ipv4::header(source, to, self.ttl, self.message.len());
        [&header[..], &self.message].concat()
    }

    /// Returns an Ethernet frame from the card to the multicast group.
    fn frame(&self, card: [u8; 6], source: Ipv4Addr) -> Vec<u8> {
        ipv4_frame([1, 0, 0x5e, 0, 0, 18], card, &self.packet(source, GROUP_V4))
    }

    fn send(&self, socket: &OwnedFd, source: Ipv4Addr) -> Result<(), std::io::Error> {
        let packet = self.packet(source, GROUP_V4);
        let group = SockaddrIn::from(SocketAddrV4::new(GROUP_V4, 0));
        sendto(socket.as_raw_fd(), &packet, &group, MsgFlags::empty())?;
        Ok(())
    }
}

/// Returns a valid advertisement of version 3 with priority 254 and this source.
pub(crate) fn forged(source: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    Forged::new(Version::V3, Auth::None).packet(source, to)
}

/// Opens a socket that sends packets with any IP header.
pub(crate) fn forge_from(host: &Host) -> Result<OwnedFd, std::io::Error> {
    host.run(|| {
        let raw = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Raw,
        )?;
        setsockopt(&raw, sockopt::BindToDevice, &"ens33".into())?;
        Ok(raw)
    })
}
