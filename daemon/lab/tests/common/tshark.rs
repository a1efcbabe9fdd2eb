//! Checks of the frames that a host sent, made by tshark.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use vrrp_lab::{Capture, Error, Frame, Moment, Result};

/// Properties that advertisements are expected to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) version: u8,
    /// Accepted coverage of the checksum in version 3 over IPv4.
    pub(crate) checksums: &'static [Checksum],
}

/// Coverage of the checksum in version 3 over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    WithPseudoHeader,
    MessageOnly,
}

/// Frame that tshark dissected without a complaint.
#[derive(Debug)]
pub(crate) struct Dissected {
    pub(crate) at: Moment,
    /// Coverage with which the checksum is right; the first of the expected ones where it does not matter.
    pub(crate) checksum: Checksum,
    /// Priority, if the frame is an advertisement.
    pub(crate) priority: Option<u8>,
    /// Whether the frame is ARP or a neighbour advertisement.
    pub(crate) announces: bool,
}

/// Dissected frame, or tshark's complaint.
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

/// Value of the field `*.checksum.status` that means good.
const GOOD: &str = "1";

/// ICMPv6 type of a neighbour advertisement.
const NEIGHBOUR_ADVERTISEMENT: &str = "136";

/// Counter for the names of capture files, because tests run in parallel.
static FILES: AtomicU32 = AtomicU32::new(0);

/// Dissects all frames that a card sent. Asserts that no packet is malformed, that tshark has no expert
/// remark, and that no checksum is wrong.
pub(crate) fn dissect(card: &Capture, expected: Expected) -> Result<Vec<Dissected>> {
    let file = std::env::temp_dir().join(format!(
        "vrrp-tshark-{}-{}.pcap",
        std::process::id(),
        FILES.fetch_add(1, Ordering::Relaxed)
    ));
    let sent = |frame: &Frame| frame.outgoing;
    // Before the file is written, which may contain later frames.
    let mut frames = card.frames().entries();
    frames.retain(sent);
    card.write_pcap_of(&file, sent)?;
    let mut verdicts: Vec<Verdict> = Vec::new();
    for checksum in expected.checksums {
        let text = run(&file, *checksum)?;
        let again = text.lines().zip(&frames);
        let again = again.map(|(line, frame)| judge(line, frame.at, *checksum, expected.version));
        // A frame is good if it is good with one of the accepted checksums.
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
        Err(complaint) => panic!("tshark rejects a frame: {complaint}"),
    });
    Ok(good.collect())
}

/// Runs tshark. Returns one line for each frame, with the values of [`FIELDS`].
fn run(file: &Path, checksum: Checksum) -> Result<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-T", "fields"]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    let message_only = matches!(checksum, Checksum::MessageOnly);
    let form = format!("vrrp.v3_checksum_as_in_v2:{message_only}");
    command.args(["-o", &form]);
    // An address moves from host to host in these tests, so duplicates are expected.
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

/// Judges a frame by its line of fields.
fn judge(line: &str, at: Moment, checksum: Checksum, expected_version: u8) -> Verdict {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        _,
        protocols,
        malformed,
        expert,
        ip_checksum,
        vrrp_checksum,
        icmpv6_checksum,
        icmpv6_type,
        version,
        priority,
    ] = fields[..]
    else {
        return Err(format!("not {} fields: {line}", FIELDS.len()));
    };
    // An ICMP message may contain another packet with its own checksum, so a field may have several values.
    let good = |checksums: &str| checksums.split(',').all(|checksum| checksum == GOOD);
    let has = |wanted: &str| protocols.split(':').any(|protocol| protocol == wanted);
    let wrong = [
        (
            (malformed, expert) != ("", ""),
            "malformed, or expert remark",
        ),
        (has("ip") && !good(ip_checksum), "IP checksum"),
        (has("icmpv6") && !good(icmpv6_checksum), "ICMPv6 checksum"),
        (has("vrrp") && !good(vrrp_checksum), "VRRP checksum"),
        (
            has("vrrp") && version != expected_version.to_string(),
            "VRRP version",
        ),
    ];
    if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
        return Err(format!("{what}: {line}"));
    }
    Ok(Dissected {
        at,
        checksum,
        priority: priority.parse().ok(),
        announces: has("arp") || icmpv6_type == NEIGHBOUR_ADVERTISEMENT,
    })
}
