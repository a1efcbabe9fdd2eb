//! The kind `http`.

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

/// A page of a web server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// What to ask for.
    pub url: Url,
    /// Whom to ask instead of the host of the URL.
    pub address: Option<IpAddr>,
    /// How.
    pub method: Method,
    /// What to say besides, by names in small letters.
    pub headers: BTreeMap<String, String>,
    /// From where.
    pub origin: Origin,
    /// How often, and how long all of it may take.
    pub rhythm: Rhythm,
    /// The statuses that mean well.
    pub status: Vec<RangeInclusive<u16>>,
    /// What has to be in the page.
    pub expect: Option<String>,
    /// Who may be believed to be the host of the URL, where it is `https`.
    pub trust: Trust,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// Those of whom this host trusts.
    System,
    /// Those of whom stands in this file.
    File(PathBuf),
    /// Everybody's.
    All,
}

/// How a page is asked for (RFC 9110 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    /// For the page.
    Get,
    /// For all but the page itself.
    Head,
    /// For what can be done with it.
    Options,
}

/// A page of a web server; the right status, and the right text where one is expected, mean well.
/// Redirections are not followed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedHttp {
    /// The page, http or https. A name in it is looked up every minute and when it goes wrong; of several
    /// addresses one after the other is tried.
    url: Field<Url>,
    /// The address to ask instead of that of the URL's host, so that a server can be asked for a page of
    /// whatever name. Default: the host's.
    #[serde(default)]
    address: Field<PlainAddress>,
    /// How to ask (RFC 9110 section 9.3). Default: `GET`.
    #[serde(default = "method")]
    method: Field<Method>,
    /// What to send besides, by name, like `Authorization`, or `Host` instead of the URL's. Default:
    /// none.
    #[serde(default = "headers")]
    headers: Field<BTreeMap<String, Field<String>>>,
    /// The statuses that mean well, 100 to 599, single ones and ranges of them. Default: 200-299.
    #[serde(default = "status")]
    #[schemars(length(min = 1))]
    status: Field<Vec<Field<Statuses>>>,
    /// A text that has to be in the first 64 KiB of the page. Default: none.
    #[serde(default)]
    expect: Field<String>,
    /// A file with the certificates, as PEM, of whom to believe who the server is, by its absolute path.
    /// Default: whom this host trusts.
    #[serde(default)]
    ca_file: Field<String>,
    /// Whether to believe whoever answers, expired certificates and those of another name too. Default:
    /// false.
    #[serde(default = "insecure")]
    insecure: Field<bool>,
    /// The address of this host to ask from. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// The interface to ask through, 1 to 15 bytes; a link-local address needs one. Default: where the
    /// routes lead.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// Time from one request to the next, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// How long it may take until the page is there, or its first 64 KiB, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::patience")]
    timeout: Field<BoundedDuration>,
    /// How many good results in a row turn the tracker up, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    rise: Field<BoundedInteger<Count>>,
    /// How many bad results in a row turn the tracker down, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    fall: Field<BoundedInteger<Count>>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// What it counts as before the first result: `up`, because what has not been looked at is no
    /// reason to refuse it, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

impl TrackedHttp {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
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
            let message = "an answer to HEAD has no text: ask by \"method\": \"GET\"";
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
                findings.add(&path, "is made as the connection needs it: leave it out");
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
                let message = "is given in another case, too: keep one of them";
                findings.add(&path, message);
            }
        }
        all_valid.then_some(headers)
    }

    fn status(&self, path: &Path, findings: &mut Findings) -> Option<Vec<RangeInclusive<u16>>> {
        let status = self.status.value()?;
        if status.is_empty() {
            findings.add(path, "must not be empty: name what means well, like 200");
        }
        let ranges = status.iter().map(|given| Some(given.value()?.0.clone()));
        ranges.collect()
    }

    fn trust(&self, path: &Path, url: Option<&Url>, findings: &mut Findings) -> Option<Trust> {
        let file = self.ca_file.optional();
        let insecure = self.insecure.value();
        if url.is_some_and(|url| !url.secure) {
            let message = "is about https, and the URL is http: leave it out";
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

/// Headers that belong to the connection (RFC 9110 section 7.6.1) and to the body that is not sent.
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

/// Whether `text` can be the name of a header (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether `text` can be the value of a header (RFC 9110 section 5.5).
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
