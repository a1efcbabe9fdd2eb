//! What tshark thinks of the frames that a host sent.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use vrrp_lab::{Capture, Error, Result};

/// The advertisements that are expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) version: u8,
    /// What the checksum of version 3 over IPv4 may cover.
    pub(crate) checksums: &'static [Checksum],
}

/// A form of checksum of version 3 over IPv4.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checksum {
    WithPseudoHeader,
    MessageOnly,
}

/// A frame as tshark saw it, which had nothing against it.
#[derive(Debug)]
pub(crate) struct Dissected {
    /// Of an advertisement.
    pub(crate) priority: Option<u8>,
    /// Whether it is of ARP, or a neighbour advertisement.
    pub(crate) announces: bool,
}

/// That, or the complaint.
type Verdict = std::result::Result<Dissected, String>;

const FIELDS: [&str; 10] = [
    "frame.number",
    "frame.protocols",
    "_ws.malformed",
    "_ws.expert.message",
    "ip.checksum.status",
    "vrrp.checksum.status",
    "icmpv6.checksum.status",
    "icmpv6.type",
    "vrrp.version",
    "vrrp.prio",
];

/// The value of a checksum's status that means good.
const GOOD: &str = "1";

/// The type of ICMPv6.
const NEIGHBOUR_ADVERTISEMENT: &str = "136";

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
    let mut verdicts: Vec<Verdict> = Vec::new();
    for checksum in expected.checksums {
        let text = run(&file, *checksum)?;
        let again = text.lines().map(|line| judge(line, expected.version));
        // Good is what is good in one of the forms.
        verdicts = if verdicts.is_empty() {
            again.collect()
        } else {
            let both = verdicts.into_iter().zip(again);
            both.map(|(one, other)| one.or(other)).collect()
        };
    }
    let _ = std::fs::remove_file(&file);
    let good = verdicts.into_iter().map(|verdict| match verdict {
        Ok(frame) => frame,
        Err(complaint) => panic!("tshark complains: {complaint}"),
    });
    Ok(good.collect())
}

/// One line for each frame, with the fields.
fn run(file: &Path, checksum: Checksum) -> Result<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-T", "fields"]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    let message_only = matches!(checksum, Checksum::MessageOnly);
    let form = format!("vrrp.v3_checksum_as_in_v2:{message_only}");
    command.args(["-o", &form]);
    // That an address moves from host to host is what all this is for.
    command.args(["-o", "arp.detect_duplicate_ips:FALSE"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command
        .output()
        .map_err(|error| Error::new("running tshark", error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::new("running tshark", said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What tshark says of a frame, in a line of its fields.
fn judge(line: &str, expected_version: u8) -> Verdict {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        _,
        protocols,
        malformed,
        expert,
        ip_checksum,
        checksum,
        icmpv6_checksum,
        icmpv6_type,
        version,
        priority,
    ] = fields[..]
    else {
        return Err(format!("not {} fields: {line}", FIELDS.len()));
    };
    // A message of ICMP has another packet inside, with a checksum of its own.
    let good = |checksums: &str| checksums.split(',').all(|checksum| checksum == GOOD);
    let has = |wanted: &str| protocols.split(':').any(|protocol| protocol == wanted);
    let wrong = [
        ((malformed, expert) != ("", ""), "a remark"),
        (has("ip") && !good(ip_checksum), "the checksum of IP"),
        (
            has("icmpv6") && !good(icmpv6_checksum),
            "the checksum of ICMPv6",
        ),
        (has("vrrp") && !good(checksum), "the checksum of VRRP"),
        (
            has("vrrp") && version != expected_version.to_string(),
            "the version",
        ),
    ];
    if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
        return Err(format!("{what}: {line}"));
    }
    Ok(Dissected {
        priority: priority.parse().ok(),
        announces: has("arp") || icmpv6_type == NEIGHBOUR_ADVERTISEMENT,
    })
}
