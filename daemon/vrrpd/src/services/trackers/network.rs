//! Common parts of the network probes: their targets, connections, and the search for an expected
//! text in what a server sends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use vrrp_config::{Host, Origin};
use vrrp_proto::Family;

use super::complaint::Complaint;
use super::known::Known;
use super::time_limit::TimeLimit;

/// Most bytes of an answer that are read.
pub(super) const LIMIT: usize = 64 * 1024;

/// Most characters of an answer that are quoted in a message.
const EXCERPT: usize = 80;

/// Successful answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Description.
    pub(super) what: String,
    /// Time that it took.
    pub(super) after: Duration,
}

/// Target of a probe: an address, or a name with its cached addresses.
pub(super) enum Target {
    Address([IpAddr; 1]),
    Name {
        name: Arc<str>,
        /// Family of the source address, which restricts the target's addresses.
        family: Option<Family>,
        addresses: Known<Vec<IpAddr>>,
    },
}

impl Target {
    /// The target `host`, probed from `origin`.
    pub(super) fn new(host: &Host, origin: &Origin) -> Self {
        match host {
            Host::Address(address) => Self::Address([*address]),
            Host::Name(name) => Self::Name {
                name: Arc::clone(name),
                family: origin.source.map(Family::of),
                addresses: Known::nothing(),
            },
        }
    }

    /// Addresses of the target in the order in which they are to be tried, at least one.
    pub(super) async fn addresses(&mut self, time_limit: &TimeLimit) -> Result<&[IpAddr], String> {
        match self {
            Self::Address(address) => Ok(address),
            Self::Name {
                name,
                family,
                addresses,
            } => {
                let what = format!("{name} was not resolved");
                let ask = || look_up(Arc::clone(name), *family);
                Ok(addresses.get(time_limit, &what, ask).await?)
            }
        }
    }

    /// Marks the addresses of a name as doubtful after a failed probe.
    pub(super) const fn doubt(&mut self) {
        match self {
            Self::Address(_) => {}
            Self::Name { addresses, .. } => addresses.doubt(),
        }
    }
}

/// Resolves a name by the host's resolver (getaddrinfo(3)), on another thread.
async fn look_up(name: Arc<str>, family: Option<Family>) -> Result<Vec<IpAddr>, String> {
    let found = lookup_host((&*name, 0)).await;
    let found = found.map_err(|error| format!("cannot resolve {name}: {error}"))?;
    let mut addresses = Vec::new();
    for address in found.map(|address| address.ip()) {
        let is_of_use = family.is_none_or(|family| Family::of(address) == family);
        if is_of_use && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match family {
        Some(family) if addresses.is_empty() => Err(format!("{name} has no {family} address")),
        Some(_) | None => Ok(addresses),
    }
}

/// Connects to a port of `target`. Tries one address after the other, each for its share of the
/// time. Returns the stream and the address that accepted it.
pub(super) async fn connect(
    target: &mut Target,
    port: u16,
    origin: &Origin,
    time_limit: &TimeLimit,
) -> Result<(TcpStream, SocketAddr), Complaint> {
    let mut complaints = Vec::new();
    {
        let addresses = target.addresses(time_limit).await?;
        for (index, address) in addresses.iter().enumerate() {
            let place = SocketAddr::new(*address, port);
            let rest = addresses.len() - index;
            let share = if rest == 1 {
                *time_limit
            } else {
                time_limit.share(rest)
            };
            let refused = || format!("no connection to {place}");
            let connected = share.wait(connect_to(place, origin), refused).await;
            match connected.map_err(Complaint::from).flatten() {
                Ok(stream) => return Ok((stream, place)),
                Err(complaint) => complaints.push(complaint),
            }
        }
    }
    target.doubt();
    Err(Complaint::of_all(&complaints))
}

async fn connect_to(place: SocketAddr, origin: &Origin) -> Result<TcpStream, Complaint> {
    let socket = match place {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|error| Complaint::of("cannot connect", &error))?;
    if let Some(interface) = &origin.interface {
        let bound = socket.bind_device(Some(interface.as_bytes()));
        bound.map_err(|error| format!("cannot use interface {interface}: {error}"))?;
    }
    if let Some(source) = origin.source {
        let bound = socket.bind(SocketAddr::new(source, 0));
        bound.map_err(|error| format!("cannot bind to {source}: {error}"))?;
    }
    let connected = socket.connect(place).await;
    connected.map_err(|error| {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Complaint::Down(format!("connection to {place} refused"))
        } else {
            Complaint::of(format_args!("cannot connect to {place}"), &error)
        }
    })
}

/// Searches the bytes that a server sends for an expected text.
pub(super) struct Listener<'e> {
    said: Vec<u8>,
    expected: Option<&'e [u8]>,
    has_heard: bool,
}

impl<'e> Listener<'e> {
    pub(super) const fn new(expected: Option<&'e str>) -> Self {
        Self {
            said: Vec::new(),
            expected: match expected {
                Some(text) => Some(text.as_bytes()),
                None => None,
            },
            has_heard: expected.is_none(),
        }
    }

    /// Takes further bytes, up to [`LIMIT`] in all.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = LIMIT - self.said.len();
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let before = self.said.len();
        self.said.extend_from_slice(bytes);
        if let Some(expected) = self.expected
            && !self.has_heard
        {
            // The text may have begun in the preceding bytes.
            let from = before.saturating_sub(expected.len().saturating_sub(1));
            let mut windows = self.said[from..].windows(expected.len().max(1));
            self.has_heard = windows.any(|window| window == expected);
        }
    }

    /// Whether [`LIMIT`] is reached.
    pub(super) const fn is_full(&self) -> bool {
        self.said.len() == LIMIT
    }

    /// Whether the expected text was found, or none is expected.
    pub(super) const fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Message that the expected text was not in the answer of `place`; `ending` says how the
    /// answer ended.
    pub(super) fn complaint(&self, place: SocketAddr, ending: &str) -> String {
        let expected = excerpt(self.expected.unwrap_or_default());
        match &*self.said {
            [] => format!("{place} sent nothing{ending}"),
            said => format!(
                "no {expected} in the answer of {place}{ending}: {}",
                excerpt(said)
            ),
        }
    }
}

/// Beginning of `bytes` in quotes, on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let end = text.char_indices().nth(EXCERPT).map(|(end, _)| end);
    match end {
        Some(end) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 25);

    #[test]
    fn text_is_found_across_segments() {
        for parts in [
            &["220 hello"][..],
            &["22", "0 he"],
            &["2", "2", "0"],
            &["x220"],
        ] {
            let mut listener = Listener::new(Some("220"));
            for part in parts {
                assert!(!listener.has_heard(), "{parts:?}");
                listener.take(part.as_bytes());
            }
            assert!(listener.has_heard(), "{parts:?}");
        }
        assert!(Listener::new(None).has_heard(), "no text is expected");
    }

    #[test]
    fn message_quotes_what_was_received() {
        let mut listener = Listener::new(Some("220"));
        assert_eq!(
            listener.complaint(PLACE, " within 1 s"),
            "127.0.0.1:25 sent nothing within 1 s"
        );
        listener.take(b"554 go\taway\r\n");
        assert!(!listener.has_heard());
        assert_eq!(
            listener.complaint(PLACE, ""),
            r#"no "220" in the answer of 127.0.0.1:25: "554 go\taway""#
        );
    }

    #[test]
    fn bytes_after_limit_are_ignored() {
        let mut listener = Listener::new(Some("end"));
        listener.take(&[b'x'; LIMIT - 1]);
        assert!(!listener.is_full());
        listener.take(b"end");
        assert!(listener.is_full() && !listener.has_heard());
        let complaint = listener.complaint(PLACE, "");
        assert!(complaint.ends_with("x\"..."), "{complaint}");
        assert!(complaint.len() < EXCERPT + 60, "{complaint}");
    }

    #[tokio::test]
    async fn name_is_resolved_in_family_of_source_address() {
        // A name that resolves without a name server.
        let host = Host::Name("192.0.2.1".into());
        let time_limit = TimeLimit::of(Duration::from_secs(20));
        let from = |source: &str| Origin {
            source: Some(source.parse().unwrap()),
            interface: None,
        };
        let mut target = Target::new(&host, &from("192.0.2.2"));
        let addresses = target.addresses(&time_limit).await.unwrap();
        assert_eq!(addresses, [IpAddr::from([192, 0, 2, 1])]);
        let mut target = Target::new(&host, &from("2001:db8::2"));
        let complaint = target.addresses(&time_limit).await.unwrap_err();
        assert_eq!(complaint, "192.0.2.1 has no IPv6 address");
    }

    #[tokio::test]
    async fn message_names_unresolvable_name() {
        let origin = Origin::default();
        // RFC 6761 section 6.4: no resolver knows this name.
        let mut target = Target::new(&Host::Name("host.invalid".into()), &origin);
        let time_limit = TimeLimit::of(Duration::from_secs(60));
        let complaint = target.addresses(&time_limit).await.unwrap_err();
        assert!(
            complaint.starts_with("cannot resolve host.invalid: "),
            "{complaint}"
        );
    }
}
