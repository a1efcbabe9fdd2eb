//! What tshark thinks of the frames that a host sent.

use std::process::Command;

use vrrp_lab::{Capture, Error, Result};

use crate::dialect::Dialect;

/// A frame as tshark saw it, which had nothing against it.
#[derive(Debug)]
pub(crate) struct Dissected {
    /// Of an advertisement.
    pub(crate) priority: Option<u8>,
    pub(crate) arp: bool,
}

const FIELDS: [&str; 8] = [
    "frame.number",
    "frame.protocols",
    "_ws.malformed",
    "_ws.expert.message",
    "ip.checksum.status",
    "vrrp.checksum.status",
    "vrrp.version",
    "vrrp.prio",
];

/// The value of a checksum's status that means good.
const GOOD: &str = "1";

/// Dissects what `mac` sent, and asserts that there is no malformed packet, no remark of an expert
/// and no wrong checksum.
pub(crate) fn dissect(card: &Capture, mac: [u8; 6], dialect: Dialect) -> Result<Vec<Dissected>> {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    let file = std::env::temp_dir().join(format!(
        "vrrp-interop-{}-{}.pcap",
        std::process::id(),
        mac.replace(':', "")
    ));
    card.write_pcap(&file)?;
    let message_only = dialect == Dialect::ThreeMessageOnly;
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&file).args(["-n", "-T", "fields"]);
    command.args(["-Y", &format!("eth.src == {mac} && (vrrp || arp)")]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    command.args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{message_only}")]);
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
    Ok(text.lines().map(|line| judge(line, dialect)).collect())
}

#[track_caller]
fn judge(line: &str, dialect: Dialect) -> Dissected {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        _,
        protocols,
        malformed,
        expert,
        ip_checksum,
        checksum,
        version,
        priority,
    ] = fields[..]
    else {
        panic!("not {} fields: {line}", FIELDS.len());
    };
    assert_eq!((malformed, expert), ("", ""), "tshark complains: {line}");
    let arp = protocols.split(':').any(|protocol| protocol == "arp");
    if !arp {
        assert_eq!((ip_checksum, checksum), (GOOD, GOOD), "a checksum: {line}");
        let spoken = if dialect == Dialect::Two { "2" } else { "3" };
        assert_eq!(version, spoken, "{line}");
    }
    Dissected {
        priority: priority.parse().ok(),
        arp,
    }
}
