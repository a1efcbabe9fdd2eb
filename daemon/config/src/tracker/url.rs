//! URLs of web pages: `http://192.168.224.11/`, `https://www.example:8443/health?deep=1`.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::network::Host;
use crate::unicast;

/// URL of a page of a web server (RFC 9110 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Url {
    /// Whether the scheme is `https`.
    pub secure: bool,
    /// Host of the server.
    pub host: Host,
    /// Port of the server: 1 to 65535.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub page: String,
}

impl Url {
    /// Returns the host and, unless it is the default of the scheme, the port, in the form of the
    /// header `Host` (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Name(name) => name.to_string(),
        };
        if self.port == usual_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.page)
    }
}

/// Message for a URL without a supported scheme.
const NO_SCHEME: &str = "must begin with http:// or https://";
const NO_HOST: &str =
    "must name a host, like http://192.168.224.11/ or https://www.example:8443/health";
const NO_PORT: &str = "the port must be 1 to 65535";
const USER: &str =
    "must have no user and password: send them with \"headers\" as \"Authorization\"";
const FRAGMENT: &str =
    "must have no fragment: clients do not send the part after \"#\" to the server";
const CHARACTERS: &str =
    "contains a character that a URL must not contain: percent-encode it, like %20";

impl TryFrom<String> for Url {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (scheme, rest) = text.split_once("://").ok_or(NO_SCHEME)?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ => return Err(NO_SCHEME),
        };
        if rest.contains('#') {
            return Err(FRAGMENT);
        }
        let (authority, page) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(USER);
        }
        if !is_page(page) {
            return Err(CHARACTERS);
        }
        let (host, port) = split_port(authority)?;
        Ok(Self {
            secure,
            host: host_of(host).ok_or(NO_HOST)?,
            port: match port {
                None => usual_port(secure),
                Some(port) => port_of(port).ok_or(NO_PORT)?,
            },
            page: if page.starts_with('/') {
                page.to_owned()
            } else {
                format!("/{page}")
            },
        })
    }
}

/// Splits an authority into the host, in brackets if it is an IPv6 address, and the port.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    match authority[end..].find(':') {
        None if authority[end..].is_empty() || end == 0 => Ok((authority, None)),
        Some(colon) if colon == 0 || end == 0 => {
            let (host, port) = authority.split_at(end + colon);
            let port = port.strip_prefix(':').unwrap_or(port);
            // An IPv6 address without brackets.
            if port.contains(':') {
                return Err(NO_HOST);
            }
            Ok((host, Some(port)))
        }
        None | Some(_) => Err(NO_HOST),
    }
}

fn host_of(text: &str) -> Option<Host> {
    if let Some(inside) = text.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        let address = unicast::Peer::try_from(address.to_string());
        return address.ok().map(|peer| Host::from(&peer));
    }
    let host = Host::from(&unicast::Peer::try_from(text.to_owned()).ok()?);
    // Without brackets the last group of an IPv6 address would be ambiguous with a port.
    (!matches!(host, Host::Address(IpAddr::V6(_)))).then_some(host)
}

fn port_of(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number.then(|| text.parse().ok())?;
    port.filter(|port| *port > 0)
}

const fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Whether `text` is a path with a query (RFC 3986 sections 3.3 and 3.4).
fn is_page(text: &str) -> bool {
    let is_character =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let mut escapes = text.split('%').skip(1);
    text.bytes().all(is_character)
        && escapes.all(|rest| {
            rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
        })
}

impl JsonSchema for Url {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Url".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+([/?][^#\\s]*)?$",
            "examples": ["http://192.168.224.11/", "https://www.example:8443/health"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url, &'static str> {
        Url::try_from(text.to_owned())
    }

    #[test]
    fn url_has_scheme_host_port_and_page() {
        let url = parse("https://www.example:8443/a/b?c=%20d").unwrap();
        let expected = Url {
            secure: true,
            host: Host::Name("www.example".into()),
            port: 8443,
            page: "/a/b?c=%20d".to_owned(),
        };
        assert_eq!(url, expected);
        assert_eq!(url.authority(), "www.example:8443");
    }

    #[test]
    fn url_defaults_are_port_and_root_page() {
        for (text, shown, port) in [
            ("http://10.0.0.1", "http://10.0.0.1/", 80),
            ("HTTPS://a.example", "https://a.example/", 443),
            ("http://a.example?q", "http://a.example/?q", 80),
            ("http://a.example:80/", "http://a.example/", 80),
            ("http://[fe80::1]", "http://[fe80::1]/", 80),
            ("http://[fe80::1]:81/x", "http://[fe80::1]:81/x", 81),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((&*url.to_string(), url.port), (shown, port), "{text}");
        }
    }

    #[test]
    fn invalid_urls_are_rejected_with_reason() {
        for (text, reason) in [
            ("", NO_SCHEME),
            ("www.example", NO_SCHEME),
            ("ftp://www.example/", NO_SCHEME),
            ("http://", NO_HOST),
            ("http:///index.html", NO_HOST),
            ("http://fe80::1/", NO_HOST),
            ("http://[fe80::1/", NO_HOST),
            ("http://[fe80::1]x/", NO_HOST),
            ("http://[fe80::1%eth0]/", NO_HOST),
            ("http://[10.0.0.1]/", NO_HOST),
            ("http://10.0.0.300/", NO_HOST),
            ("http://a:0/", NO_PORT),
            ("http://a:/", NO_PORT),
            ("http://a:65536/", NO_PORT),
            ("http://a:+1/", NO_PORT),
            ("http://me:secret@a/", USER),
            ("http://a/#top", FRAGMENT),
            ("http://a/x y", CHARACTERS),
            ("http://a/%2", CHARACTERS),
            ("http://a/%zz", CHARACTERS),
            ("http://a/ä", CHARACTERS),
        ] {
            assert_eq!(parse(text), Err(reason), "{text}");
        }
    }
}
