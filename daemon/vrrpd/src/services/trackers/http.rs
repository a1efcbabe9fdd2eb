//! Trackers of kind `http`: a web server that gives the right answer.
//!
//! Each question has a connection of its own, so that the server's port is asked too, and ends with
//! it. hyper speaks HTTP; what it is given is a stream, and what it gives is judged here.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vrrp_config::{Host, Http, Method};

use super::network::{Answer, Listener, Target, connect, excerpt};
use super::time_limit::TimeLimit;
use super::tls::Tls;
use super::{Reporter, turns};

/// How long the head of an answer may be.
const LONGEST_HEAD: usize = 32 * 1024;

/// The life of one tracker.
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

/// Who asks for a page, with all that stays the same from one time to the next.
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
            request: request(&http).map_err(|error| format!("cannot be asked for: {error}")),
            target,
            http,
            tls,
        }
    }

    /// Asks once.
    async fn ask(&mut self) -> Result<Answer, String> {
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
        asked.map(|status| Answer {
            what: shown(status),
            after: time_limit.so_far(),
        })
    }
}

/// The question as it is sent.
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
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// Sends the question and judges the answer. Its status, when all is well.
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
            // The connection is driven here, and outlived by what it has brought.
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
            None => format!("no answer from {place}{late}"),
            Some(_) => format!("the page of {place} did not come to its end{late}"),
        }),
    }
}

/// What is wrong with the head of an answer.
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
        .map(|place| format!(", to {},", excerpt(place.as_bytes())));
    Some(format!(
        "status {}{} instead of {}",
        shown(status),
        elsewhere.unwrap_or_default(),
        expected.join(" or ")
    ))
}

/// Takes the page until it ends, or as much of it as is listened to.
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

/// Why there is no whole answer.
fn broken(error: &hyper::Error, place: SocketAddr) -> String {
    if error.is_incomplete_message() {
        return format!("{place} hung up before its answer was whole");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(reasons) = cause {
        text = format!("{text}: {reasons}");
        cause = reasons.source();
    }
    if error.is_parse() {
        return format!("the answer of {place} is no HTTP: {text}");
    }
    format!("no answer from {place}: {text}")
}

/// `503 Service Unavailable`.
fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_str()),
        None => status.as_str().to_owned(),
    }
}

/// A stream of tokio's as hyper wants it.
struct Stream<S>(S);

impl<S: AsyncRead + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        let length = bytes.len().min(room.remaining());
        let mut buffer = ReadBuf::new(&mut bytes[..length]);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        room.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
