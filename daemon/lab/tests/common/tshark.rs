//! What tshark thinks of the frames that a host sent.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use vrrp_lab::{Capture, Error, Result};

/// The advertisements that are expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) version: u8,
    /// Whether the checksum of version 3 over IPv4 covers the message alone.
    pub(crate) message_only: bool,
}

/// A frame as tshark saw it, which had nothing against it.
#[derive(Debug)]
pub(crate) struct Dissected {
    /// Of an advertisement.
    pub(crate) priority: Option<u8>,
    /// Whether it is of ARP, or the neighbour advertisement of IPv6.
    pub(crate) announces: bool,
}

const FIELDS: [&str; 9] = [
    "frame.number",
    "frame.protocols",
    "_ws.malformed",
    "_ws.expert.message",
    "ip.checksum.status",
    "vrrp.checksum.status",
    "icmpv6.checksum.status",
    "vrrp.version",
    "vrrp.prio",
];

/// The value of a checksum's status that means good.
const GOOD: &str = "1";

/// Distinguishes the files of tests that run side by side.
static FILES: AtomicU32 = AtomicU32::new(0);

/// Dissects all that left through a card, and asserts that there is no malformed packet, no remark
/// of an expert and no wrong checksum.
pub(crate) fn dissect(card: &Capture, expected: Expected) -> Result<Vec<Dissected>> {
    let file = std::env::temp_dir().join(format!(
        "vrrp-tshark-{}-{}.pcap",
        std::process::id(),
        FILES.fetch_add(1, Ordering::Relaxed)
    ));
    card.write_pcap_of(&file, |frame| frame.outgoing)?;
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&file).args(["-n", "-T", "fields"]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    let form = format!("vrrp.v3_checksum_as_in_v2:{}", expected.message_only);
    command.args(["-o", &form]);
    // That an address moves from host to host is what all this is for.
    command.args(["-o", "arp.detect_duplicate_ips:FALSE"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command
        .output()
        .map_err(|error| Error::new("running tshark", error))?;
    let _ = std::fs::remove_file(&file);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text.lines().map(|line| judge(line, expected)).collect())
}

#[track_caller]
fn judge(line: &str, expected: Expected) -> Dissected {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        _,
        protocols,
        malformed,
        expert,
        ip_checksum,
        checksum,
        icmpv6_checksum,
        version,
        priority,
    ] = fields[..]
    else {
        panic!("not {} fields: {line}", FIELDS.len());
    };
    assert_eq!((malformed, expert), ("", ""), "tshark complains: {line}");
    let has = |wanted: &str| protocols.split(':').any(|protocol| protocol == wanted);
    if has("ip") {
        assert_eq!(ip_checksum, GOOD, "the checksum of IP: {line}");
    }
    if has("icmpv6") {
        assert_eq!(icmpv6_checksum, GOOD, "the checksum of ICMPv6: {line}");
    }
    if has("vrrp") {
        assert_eq!(checksum, GOOD, "the checksum of VRRP: {line}");
        assert_eq!(version, expected.version.to_string(), "{line}");
    }
    Dissected {
        priority: priority.parse().ok(),
        announces: has("arp") || has("icmpv6"),
    }
}
