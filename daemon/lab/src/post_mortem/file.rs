//! Capture files: the packets of a pcap or pcapng file, with their times.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, PcapHeader, create_reader};

use super::frame;
use super::stamp::Stamp;

/// Size of the read buffer, which grows for a larger packet.
const BUFFER: usize = 1 << 16;
/// Largest accepted packet: the limit of Wireshark and libpcap is 256 KiB, for USB 128 MiB.
const LARGEST: usize = 1 << 26;
/// Accepted number of interfaces in one section of a pcapng file.
const INTERFACES: usize = 1 << 16;

/// Packet of a capture file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) at: Stamp,
    /// Interface of the capture, if the file has several.
    pub(crate) interface: Option<&'a str>,
    /// Link type of the bytes; see [`frame`].
    pub(crate) link: u32,
    pub(crate) bytes: &'a [u8],
}

/// Facts about the file as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// Format: pcap or pcapng.
    pub(crate) format: &'static str,
    /// Number of packets of each link type.
    pub(crate) links: BTreeMap<u32, u64>,
    pub(crate) packets: u64,
    /// Times of the first and the last packet.
    pub(crate) times: Option<(Stamp, Stamp)>,
    /// Why reading stopped before the end of the file.
    pub(crate) broken: Option<String>,
    /// Whether the file only ends too early, as that of a running capture.
    pub(crate) is_cut: bool,
}

/// Reason why nothing of a file can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path}: {source}")]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{path}: not a regular file; the file is read twice, so save the packets first: tcpdump -w FILE"
    )]
    NotRegular { path: PathBuf },
    #[error("{path}: the file is empty; a capture begins with a header of 24 bytes")]
    Empty { path: PathBuf },
    #[error(
        "{path}: not a capture file: it begins with {start}, and neither with a pcap header (d4c3b2a1 or a1b2c3d4, \
         with nanoseconds 4d3cb2a1 or a1b23c4d) nor with a pcapng section header (0a0d0d0a); decompress a compressed file first"
    )]
    NotACapture { path: PathBuf, start: String },
    #[error("{path}: the file ends within its header of {wanted} bytes; make the capture again")]
    NoHeader { path: PathBuf, wanted: usize },
    #[error("{path}: {packets} packets, none of a link type that this program can read ({links}); \
             readable are {readable}", readable = frame::READABLE)]
    NoReadableLink {
        path: PathBuf,
        packets: u64,
        links: String,
    },
}

/// Interface of a pcapng section.
struct Interface {
    name: String,
    link: u32,
    /// Units of a timestamp in a second.
    resolution: u64,
    /// Seconds to add to a timestamp.
    offset: i64,
}

/// Calls `visit` with each packet of a file. A file that is damaged in the middle is read up to the damage,
/// which [`FileFacts::broken`] describes.
///
/// # Errors
/// If nothing of the file can be read.
pub(crate) fn read(
    path: &Path,
    mut visit: impl FnMut(&Packet<'_>),
) -> Result<FileFacts, FileError> {
    let open = |source| FileError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(open)?;
    let facts = file.metadata().map_err(open)?;
    if !facts.is_file() {
        return Err(FileError::NotRegular {
            path: path.to_owned(),
        });
    }
    let mut reader = create_reader(BUFFER, file).map_err(|error| unrecognised(path, &error))?;
    let mut walk = Walk::default();
    let mut capacity = BUFFER;
    loop {
        match reader.next() {
            Ok((length, block)) => {
                walk.take(block, &mut visit);
                reader.consume(length);
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() {
                    walk.break_off("the file cannot be read any further");
                    break;
                }
            }
            Err(PcapError::BufferTooSmall) if capacity < LARGEST => {
                capacity *= 2;
                // The larger buffer has to be filled before the packet can be complete.
                if !reader.grow(capacity) || reader.refill().is_err() {
                    walk.break_off("the file cannot be read any further");
                    break;
                }
            }
            Err(PcapError::BufferTooSmall) => {
                walk.break_off("the next packet claims to be larger than 64 MiB");
                break;
            }
            Err(PcapError::UnexpectedEof) => {
                walk.facts.is_cut = true;
                walk.break_off(
                    "the file ends within the next packet: the capture was cut off, or is still running",
                );
                break;
            }
            Err(
                PcapError::ReadError
                | PcapError::HeaderNotRecognized
                | PcapError::NomError(..)
                | PcapError::OwnedNomError(..),
            ) => {
                walk.break_off("the next block is malformed");
                break;
            }
        }
    }
    let facts = walk.facts;
    if facts.packets > 0 && !facts.links.keys().any(|link| frame::is_readable(*link)) {
        let links: Vec<_> = facts.links.keys().map(u32::to_string).collect();
        return Err(FileError::NoReadableLink {
            path: path.to_owned(),
            packets: facts.packets,
            links: links.join(", "),
        });
    }
    Ok(facts)
}

fn unrecognised(path: &Path, error: &PcapError<&[u8]>) -> FileError {
    let path = path.to_owned();
    let mut start = [0; 4];
    let length = File::open(&path)
        .and_then(|mut file| std::io::Read::read(&mut file, &mut start))
        .unwrap_or_default();
    let start: String = start[..length]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if *error == PcapError::Eof {
        FileError::Empty { path }
    } else if matches!(error, PcapError::Incomplete(_)) && length == 4 {
        FileError::NoHeader { path, wanted: 24 }
    } else {
        FileError::NotACapture { path, start }
    }
}

/// Progress of reading a file.
#[derive(Default)]
struct Walk {
    facts: FileFacts,
    header: PcapHeader,
    interfaces: Vec<Interface>,
    /// Time of the last packet, for blocks without a time.
    last: Stamp,
}

impl Walk {
    fn take(&mut self, block: PcapBlockOwned<'_>, visit: &mut impl FnMut(&Packet<'_>)) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.facts.format = "pcap";
                self.header = header;
            }
            PcapBlockOwned::Legacy(packet) => {
                let unit = if self.header.is_nanosecond_precision() {
                    1
                } else {
                    1_000
                };
                let at =
                    u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_usec) * unit;
                // The upper bits tell of a frame check sequence.
                let link = self.header.network.0.cast_unsigned() & 0x03ff_ffff;
                self.packet(Stamp(at), None, link, packet.data, visit);
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.facts.format = "pcapng";
                self.interfaces.clear();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                if self.interfaces.len() >= INTERFACES {
                    return;
                }
                let number = self.interfaces.len();
                let name = description.if_name().and_then(Result::ok);
                self.interfaces.push(Interface {
                    name: name.map_or_else(|| format!("#{number}"), str::to_owned),
                    link: link_number(description.linktype),
                    resolution: description.ts_resolution().unwrap_or(1_000_000).max(1),
                    offset: description.if_tsoffset,
                });
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let number = packet.if_id as usize;
                let interfaces = std::mem::take(&mut self.interfaces);
                if let Some(interface) = interfaces.get(number) {
                    let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                    let at = interface.time(units);
                    let name = (interfaces.len() > 1).then_some(interface.name.as_str());
                    self.packet(at, name, interface.link, packet.packet_data(), visit);
                }
                self.interfaces = interfaces;
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                if let Some(interface) = self.interfaces.first() {
                    let (at, link) = (self.last, interface.link);
                    self.packet(at, None, link, packet.packet_data(), visit);
                }
            }
            PcapBlockOwned::NG(_) => {}
        }
    }

    fn packet(
        &mut self,
        at: Stamp,
        interface: Option<&str>,
        link: u32,
        bytes: &[u8],
        visit: &mut impl FnMut(&Packet<'_>),
    ) {
        self.last = at;
        self.facts.packets += 1;
        *self.facts.links.entry(link).or_default() += 1;
        let (first, last) = self.facts.times.unwrap_or((at, at));
        self.facts.times = Some((first.min(at), last.max(at)));
        visit(&Packet {
            at,
            interface,
            link,
            bytes,
        });
    }

    fn break_off(&mut self, why: &str) {
        self.facts.broken = Some(format!("after {} packets {why}", self.facts.packets));
    }
}

impl Interface {
    fn time(&self, units: u64) -> Stamp {
        let nanos = i128::from(units) * 1_000_000_000 / i128::from(self.resolution);
        let nanos = nanos + i128::from(self.offset) * 1_000_000_000;
        Stamp(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

const fn link_number(link: Linktype) -> u32 {
    link.0.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pcap_of_either_byte_order_and_precision_is_read() {
        for (name, big, nanoseconds) in [
            ("le-us", false, false),
            ("le-ns", false, true),
            ("be-us", true, false),
            ("be-ns", true, true),
        ] {
            let fraction = if nanoseconds { 123_456_000 } else { 123_456 };
            let file = TempFile::new(name, &pcap(big, nanoseconds, fraction, b"abcd"));
            let (facts, packets) = collect(&file);
            assert_eq!(facts.format, "pcap");
            assert_eq!(facts.broken, None);
            let at = Stamp(1_000_000_000_123_456_000);
            assert_eq!(packets, [(at, None, 1, b"abcd".to_vec())], "{name}");
        }
    }

    #[test]
    fn pcapng_has_names_of_interfaces_and_their_resolution() {
        let file = TempFile::new("ng", &pcapng(&[("eth0", 9), ("eth1", 6)]));
        let (facts, packets) = collect(&file);
        assert_eq!(facts.format, "pcapng");
        let at = |nanos: u64| Stamp(1_000_000_000_000_000_000 + nanos);
        assert_eq!(
            packets,
            [
                (at(5), Some("eth0".to_owned()), 1, b"abc".to_vec()),
                (at(5_000), Some("eth1".to_owned()), 1, b"abc".to_vec()),
            ]
        );
    }

    #[test]
    fn truncated_file_is_read_up_to_its_end() {
        let whole = [
            pcap(false, false, 1, b"abcd"),
            pcap(false, false, 2, b"efgh")[24..].to_vec(),
        ]
        .concat();
        for length in 0..whole.len() {
            let file = TempFile::new("cut", &whole[..length]);
            match read(&file.0, |_| {}) {
                Err(FileError::Empty { .. }) => assert_eq!(length, 0),
                Err(FileError::NotACapture { .. }) => assert!((1..4).contains(&length)),
                Err(FileError::NoHeader { .. }) => assert!((4..24).contains(&length), "{length}"),
                Err(error) => panic!("{error}"),
                Ok(facts) => {
                    assert_eq!(facts.packets, (length as u64 - 24) / 20, "{length}");
                    assert_eq!(facts.broken.is_some(), (length - 24) % 20 != 0);
                }
            }
        }
    }

    #[test]
    fn changed_bytes_cause_no_panic() {
        let files = [
            pcap(true, false, 1, b"abcd"),
            pcapng(&[("eth0", 9), ("eth1", 0x83)]),
        ];
        for whole in files {
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0x80, 0xfb, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    let file = TempFile::new("changed", &changed);
                    let _ = read(&file.0, |_| {});
                }
            }
        }
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let text = TempFile::new("text", b"# not a capture");
        let error = read(&text.0, |_| {}).unwrap_err().to_string();
        assert!(error.contains("it begins with 23206e6f"), "{error}");
        let directory = read(&std::env::temp_dir(), |_| {}).unwrap_err().to_string();
        assert!(directory.contains("not a regular file"), "{directory}");
        let mut usb = pcap(false, false, 1, b"abcd");
        usb[20] = 189;
        let usb = TempFile::new("usb", &usb);
        let error = read(&usb.0, |_| {}).unwrap_err().to_string();
        assert!(error.contains("(189); readable are Ethernet"), "{error}");
    }

    type Seen = (Stamp, Option<String>, u32, Vec<u8>);

    fn collect(file: &TempFile) -> (FileFacts, Vec<Seen>) {
        let mut packets = Vec::new();
        let facts = read(&file.0, |packet| {
            packets.push((
                packet.at,
                packet.interface.map(str::to_owned),
                packet.link,
                packet.bytes.to_vec(),
            ));
        });
        (facts.unwrap(), packets)
    }

    fn pcap(big: bool, nanoseconds: bool, fraction: u32, bytes: &[u8]) -> Vec<u8> {
        let magic = if nanoseconds {
            0xa1b2_3c4d
        } else {
            0xa1b2_c3d4
        };
        let length = u32::try_from(bytes.len()).unwrap();
        let word = |word: u32| {
            if big {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            }
        };
        let version = if big { 0x0002_0004 } else { 0x0004_0002 };
        let mut file = Vec::new();
        for value in [magic, version, 0, 0, 0x0004_0000, 1] {
            file.extend(word(value));
        }
        for value in [1_000_000_000, fraction, length, length] {
            file.extend(word(value));
        }
        file.extend(bytes);
        file
    }

    /// One packet on each interface, 5 units after 2001-09-09 01:46:40.
    fn pcapng(interfaces: &[(&str, u8)]) -> Vec<u8> {
        let mut file = block(
            0x0a0d_0d0a,
            &[&0x1a2b_3c4d_u32.to_le_bytes(), &[1, 0, 0, 0], &[0xff; 8]],
        );
        for (name, resolution) in interfaces {
            let mut options = vec![2, 0, 4, 0];
            options.extend(name.as_bytes());
            options.extend([9, 0, 1, 0, *resolution, 0, 0, 0, 0, 0, 0, 0]);
            file.extend(block(1, &[&[1, 0, 0, 0, 0, 0, 0, 0], &options]));
        }
        for (number, (_, resolution)) in interfaces.iter().enumerate() {
            let units = 10_u64.pow(u32::from(resolution & 0xf)) * 1_000_000_000 + 5;
            let mut head = Vec::new();
            head.extend(u32::try_from(number).unwrap().to_le_bytes());
            head.extend(u32::try_from(units >> 32).unwrap().to_le_bytes());
            head.extend(u32::try_from(units & 0xffff_ffff).unwrap().to_le_bytes());
            head.extend([3, 0, 0, 0, 3, 0, 0, 0]);
            file.extend(block(6, &[&head, b"abc\0"]));
        }
        file
    }

    fn block(kind: u32, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    }

    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str, bytes: &[u8]) -> Self {
            use std::sync::atomic::{AtomicU32, Ordering};
            static FILES: AtomicU32 = AtomicU32::new(0);
            let number = FILES.fetch_add(1, Ordering::Relaxed);
            let id = std::process::id();
            let path = std::env::temp_dir().join(format!("vrrp-file-{id}-{number}-{name}"));
            fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }
}
