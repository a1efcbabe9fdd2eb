//! Trackers of the kind `http`.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::network::{Common, Host, Origin, Rhythm, expected};
use super::status::Statuses;
use super::url::Url;
use super::{Assumed, Probe, default};
use crate::address::PlainAddress;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Count, InterfaceName};

/// A page of a web server that is probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// URL of the page.
    pub url: Url,
    /// Address to connect to instead of the host of the URL.
    pub address: Option<IpAddr>,
    /// Request method.
    pub method: Method,
    /// Additional request headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Source address and interface.
    pub origin: Origin,
    /// Interval, and the timeout of the whole exchange.
    pub rhythm: Rhythm,
    /// Accepted status codes.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the page has to contain.
    pub expect: Option<String>,
    /// Trusted certificates for `https`.
    pub trust: Trust,
}

/// Trusted certificates of servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// Certificates signed by the certificate authorities of this host.
    System,
    /// Certificates signed by the certificate authorities in this file.
    File(PathBuf),
    /// All certificates.
    All,
}

/// Request method (RFC 9110 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    /// Requests the page.
    Get,
    /// Requests the headers of the page only.
    Head,
    /// Requests the communication options of the page.
    Options,
}

/// Page of a web server. Up means an accepted status and, if configured, the expected text.
/// Redirections are not followed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedHttp {
    /// URL of the page, http or https. A host name in it is resolved every minute and after a
    /// failure; several addresses are tried one after the other.
    url: Field<Url>,
    /// Address to connect to instead of that of the URL's host, to request a page of a certain name
    /// from a certain server. Default: the address of the host.
    #[serde(default)]
    address: Field<PlainAddress>,
    /// Request method (RFC 9110 section 9.3). Default: `GET`.
    #[serde(default = "method")]
    method: Field<Method>,
    /// Additional request headers by name, like `Authorization`, or `Host` instead of that of the
    /// URL. Default: none.
    #[serde(default = "headers")]
    headers: Field<BTreeMap<String, Field<String>>>,
    /// Accepted status codes, 100 to 599, single ones and ranges. Default: 200-299.
    #[serde(default = "status")]
    #[schemars(length(min = 1))]
    status: Field<Vec<Field<Statuses>>>,
    /// Text that the first 64 KiB of the page have to contain. Default: none.
    #[serde(default)]
    expect: Field<String>,
    /// Absolute path of a PEM file with the certificate authorities that are trusted to sign the
    /// certificate of the server. Default: the certificate authorities of this host.
    #[serde(default)]
    ca_file: Field<String>,
    /// Whether to accept any certificate, also an expired one and one for another name. Default:
    /// false.
    #[serde(default = "insecure")]
    insecure: Field<bool>,
    /// Source address of the probes, an address of this host. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// Interface that the probes use, 1 to 15 bytes; required for a link-local address. Default:
    /// according to the routes.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// Interval between two requests, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// Timeout until the page, or its first 64 KiB, has arrived, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::patience")]
    timeout: Field<BoundedDuration>,
    /// Number of good results in a row that turn the tracker up, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    rise: Field<BoundedInteger<Count>>,
    /// Number of bad results in a row that turn the tracker down, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    fall: Field<BoundedInteger<Count>>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// Verdict before the first result: `up`, so that an untested service does not hold back the
    /// instance, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

impl TrackedHttp {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        const EXAMPLE: &str = r#""url": "http://127.0.0.1/""#;
        let place = path.key("url");
        let url = self.url.required(&place, EXAMPLE, findings);
        let address = self.address.optional();
        let common = Common {
            source: &self.source,
            interface: &self.interface,
            interval: &self.interval,
            timeout: &self.timeout,
            rise: &self.rise,
            fall: &self.fall,
            hold: &self.hold,
            initial: &self.initial,
        };
        let origin = match address.flatten() {
            Some(address) => {
                let host = Host::Address(address.0);
                common.origin(path, (Some(&host), &path.key("address")), findings)
            }
            None => common.origin(path, (url.map(|url| &url.host), &place), findings),
        };
        let rhythm = common.rhythm(path, findings);
        let hold = common.hold(path, findings);
        let headers = self.headers(&path.key("headers"), findings);
        let status = self.status(&path.key("status"), findings);
        let expect = expected(&path.key("expect"), &self.expect, findings);
        if self.expect.is_present() && self.method.value() == Some(&Method::Head) {
            let message = "a response to HEAD has no body: write \"method\": \"GET\"";
            findings.add(&path.key("expect"), message);
        }
        let trust = self.trust(path, url, findings);
        let probe = Probe::Http(Box::new(Http {
            url: url?.clone(),
            address: address?.map(|address| address.0),
            method: *self.method.value()?,
            headers: headers?,
            origin: origin?,
            rhythm: rhythm?,
            status: status?,
            expect: expect?,
            trust: trust?,
        }));
        Some((common.params(&probe, hold?)?, probe))
    }

    fn headers(&self, path: &Path, findings: &mut Findings) -> Option<BTreeMap<String, String>> {
        let mut headers = BTreeMap::new();
        let mut all_valid = true;
        for (name, value) in self.headers.value()? {
            let path = path.key(name);
            let small = name.to_ascii_lowercase();
            if !is_token(name) {
                findings.add(
                    &path,
                    "must be the name of a header, like \"Authorization\"",
                );
            } else if MADE_HERE.contains(&&*small) {
                findings.add(&path, "is set by the daemon itself: leave it out");
            }
            let Some(value) = value.value() else {
                all_valid = false;
                continue;
            };
            if !is_header_value(value) {
                let message = "must be one line of ASCII characters, without spaces around it";
                findings.add(&path, message);
            }
            if headers.insert(small, value.clone()).is_some() {
                let message = "is the same header in another case: keep one of them";
                findings.add(&path, message);
            }
        }
        all_valid.then_some(headers)
    }

    fn status(&self, path: &Path, findings: &mut Findings) -> Option<Vec<RangeInclusive<u16>>> {
        let status = self.status.value()?;
        if status.is_empty() {
            findings.add(
                path,
                "must not be empty: list the accepted status codes, like 200",
            );
        }
        let ranges = status.iter().map(|given| Some(given.value()?.0.clone()));
        ranges.collect()
    }

    fn trust(&self, path: &Path, url: Option<&Url>, findings: &mut Findings) -> Option<Trust> {
        let file = self.ca_file.optional();
        let insecure = self.insecure.value();
        if url.is_some_and(|url| !url.secure) {
            let message = "applies to https, and the URL is http: leave it out";
            if self.ca_file.is_present() {
                findings.add(&path.key("caFile"), message);
            }
            if insecure == Some(&true) {
                findings.add(&path.key("insecure"), message);
            }
        } else if self.ca_file.is_present() && insecure == Some(&true) {
            let message = "has no effect with \"insecure\": leave one of them out";
            findings.add(&path.key("caFile"), message);
        }
        let file = file?;
        if file.is_some_and(|file| !file.starts_with('/') || file.contains('\0')) {
            let message = "must be an absolute path, like /etc/ssl/certs/ca.pem";
            findings.add(&path.key("caFile"), message);
        }
        Some(match (insecure?, file) {
            (true, _) => Trust::All,
            (false, Some(file)) => Trust::File(file.into()),
            (false, None) => Trust::System,
        })
    }
}

/// Headers that belong to the connection (RFC 9110 section 7.6.1) or to a request body, which is
/// never sent.
const MADE_HERE: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether `text` is a valid header name (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether `text` is a valid header value (RFC 9110 section 5.5).
fn is_header_value(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' '..='~' | '\t')) && text.trim() == text
}

const fn method() -> Field<Method> {
    Field::Value(Method::Get)
}

const fn headers() -> Field<BTreeMap<String, Field<String>>> {
    Field::Value(BTreeMap::new())
}

fn status() -> Field<Vec<Field<Statuses>>> {
    Field::Value(vec![Field::Value(Statuses::SUCCESS)])
}

const fn insecure() -> Field<bool> {
    Field::Value(false)
}
