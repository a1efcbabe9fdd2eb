//! Trackers of kind `http`: a web server that has to give the expected response.
//!
//! Each request has its own connection, so that every result includes the connection to the port.
//! hyper implements HTTP; this module provides the stream and judges the response.

use std::error::Error as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use vrrp_config::{Host, Http, Method};

use super::complaint::Complaint;
use super::network::{Answer, Listener, Target, connect, excerpt};
use super::time_limit::TimeLimit;
pub(super) use super::tls::Tls;
use super::{Reporter, turns};
use crate::http_stream::Stream;

/// Most bytes of the head of a response.
const LONGEST_HEAD: usize = 32 * 1024;

/// Task of one tracker.
pub(super) async fn follow(http: Http, tls: Arc<Tls>, mut reporter: Reporter) {
    let mut turns = turns(http.rhythm.interval);
    let mut asker = Asker::new(http, tls);
    loop {
        turns.tick().await;
        let answer = asker.ask().await;
        if reporter.report_answer(answer).is_err() {
            return;
        }
    }
}

/// Client for one page, with all that stays the same between requests.
struct Asker {
    http: Http,
    request: Result<Request<String>, String>,
    target: Target,
    tls: Arc<Tls>,
}

impl Asker {
    fn new(http: Http, tls: Arc<Tls>) -> Self {
        let host = http.address.map(Host::Address);
        let target = Target::new(host.as_ref().unwrap_or(&http.url.host), &http.origin);
        Self {
            request: request(&http).map_err(|error| format!("cannot build the request: {error}")),
            target,
            http,
            tls,
        }
    }

    /// Probes once.
    async fn ask(&mut self) -> Result<Answer, Complaint> {
        let Self {
            http,
            request,
            target,
            tls,
        } = self;
        let request = request.clone()?;
        let time_limit = TimeLimit::of(http.rhythm.timeout);
        let (stream, place) = connect(target, http.url.port, &http.origin, &time_limit).await?;
        let asked = if http.url.secure {
            let (trust, host) = (&http.trust, &http.url.host);
            let stream = tls
                .connect(trust, host, (stream, place), &time_limit)
                .await?;
            exchange(http, request, (stream, place), &time_limit).await
        } else {
            exchange(http, request, (stream, place), &time_limit).await
        };
        let status = asked?;
        Ok(Answer {
            what: shown(status),
            after: time_limit.so_far(),
        })
    }
}

/// Request to send.
fn request(http: &Http) -> Result<Request<String>, hyper::http::Error> {
    let method = match http.method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
        Method::Options => hyper::Method::OPTIONS,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(&*http.url.page)
        .body(String::new())?;
    let headers = request.headers_mut();
    headers.insert(HOST, http.url.authority().try_into()?);
    let program = concat!("vrrpd/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(program));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in &http.headers {
        let name: hyper::header::HeaderName = name.parse()?;
        headers.insert(name, value.parse()?);
    }
    // After the configured headers, so that none of them keeps the connection open.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// Sends the request and judges the response. Returns its status if all is as expected.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    http: &Http,
    request: Request<String>,
    (stream, place): (S, SocketAddr),
    time_limit: &TimeLimit,
) -> Result<StatusCode, String> {
    let mut listener = Listener::new(http.expect.as_deref());
    let mut status = None;
    let exchanged = {
        let exchange = async {
            let (mut sender, connection) = http1::Builder::new()
                .max_buf_size(LONGEST_HEAD)
                .handshake(Stream(stream))
                .await?;
            let mut connection = pin!(connection);
            let mut question = pin!(async {
                let response = sender.send_request(request).await?;
                status = Some(response.status());
                if let Some(complaint) = judge(&response, &http.status) {
                    return Ok(Some(complaint));
                }
                hear(response.into_body(), &mut listener).await?;
                Ok(None)
            });
            // The future drives the connection; the response may remain after the connection has
            // ended.
            tokio::select! {
                biased;
                complaint = &mut question => return complaint,
                ended = &mut connection => ended?,
            }
            question.await
        };
        time_limit.wait(exchange, String::new).await
    };
    match exchanged {
        Ok(Ok(None)) if listener.has_heard() => status.ok_or_else(String::new),
        Ok(Ok(None)) if listener.is_full() => {
            Err(listener.complaint(place, " in its first 64 KiB"))
        }
        Ok(Ok(None)) => Err(listener.complaint(place, "")),
        Ok(Ok(Some(complaint))) => Err(complaint),
        Ok(Err(error)) => Err(broken(&error, place)),
        Err(late) => Err(match status {
            None => format!("no response from {place}{late}"),
            Some(_) => format!("incomplete response from {place}{late}"),
        }),
    }
}

/// Message about an unexpected status; `None` if the status is expected.
fn judge(response: &Response<Incoming>, expected: &[RangeInclusive<u16>]) -> Option<String> {
    let status = response.status();
    if expected
        .iter()
        .any(|range| range.contains(&status.as_u16()))
    {
        return None;
    }
    let expected: Vec<String> = expected
        .iter()
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        })
        .collect();
    let elsewhere = response.headers().get(LOCATION);
    let elsewhere = elsewhere
        .filter(|_| status.is_redirection())
        .map(|place| format!(" with location {}", excerpt(place.as_bytes())));
    Some(format!(
        "status {}{}, expected {}",
        shown(status),
        elsewhere.unwrap_or_default(),
        expected.join(" or ")
    ))
}

/// Reads the page up to its end or the limit of `listener`.
async fn hear(mut page: Incoming, listener: &mut Listener<'_>) -> hyper::Result<()> {
    while !listener.is_full()
        && let Some(frame) = poll_fn(|context| Pin::new(&mut page).poll_frame(context)).await
    {
        if let Ok(bytes) = frame?.into_data() {
            listener.take(&bytes);
        }
    }
    Ok(())
}

/// Message about an incomplete response.
fn broken(error: &hyper::Error, place: SocketAddr) -> String {
    if error.is_incomplete_message() {
        return format!("{place} closed the connection before its response was complete");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(reasons) = cause {
        text = format!("{text}: {reasons}");
        cause = reasons.source();
    }
    if error.is_parse() {
        return format!("the response of {place} is not HTTP: {text}");
    }
    format!("no response from {place}: {text}")
}

/// Status with its reason: `503 Service Unavailable`.
fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_str()),
        None => status.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests;
