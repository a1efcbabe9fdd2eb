//! `vrrpd exporter`: serves the state of the daemon as metrics of Prometheus, over HTTP.
//!
//! A process of its own, so that no HTTP client has any effect on the daemon. It reads the control socket as
//! `vrrpd status` does and needs no capability. hyper implements HTTP.
//!
//! Clients on the network are bounded: [`CONNECTIONS`] at a time, each for [`PATIENCE`] and one request, and the
//! daemon is asked at most once in [`FRESH`], however many of them there are.

mod metrics;
mod text;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use vrrp_proto::snapshot::Snapshot;

use self::text::Format;
use crate::cli::ExporterOptions;
use crate::http_stream::Stream;
use crate::{Failed, status};

/// Most connections at a time. Further ones wait in the queue of the listening socket.
const CONNECTIONS: usize = 16;

/// Time limit of a connection: the usual time limit of Prometheus for a target.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of the head of a request: the least that hyper permits.
const LONGEST_HEAD: usize = 8192;

/// Time for which an answer of the daemon serves further requests.
const FRESH: Duration = Duration::from_secs(1);

/// Time after which the exporter accepts connections again when the kernel rejected one.
const PAUSE: Duration = Duration::from_millis(100);

const INDEX: &str = "<!DOCTYPE html>\n<title>vrrpd exporter</title>\n\
    <p>Metrics of vrrpd: <a href=\"/metrics\">/metrics</a></p>\n";

pub(crate) fn exporter(options: &ExporterOptions) -> Result<(), Failed> {
    let fail = |what: &str, error: io::Error| {
        Failed::General.reasons(format_args!("cannot {what}: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| fail("start the exporter", error))?;
    let outcome = runtime.block_on(async {
        // The first process of a container ends by a signal only if it handles the signal.
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| fail("handle SIGTERM", error))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| fail("handle SIGINT", error))?;
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(|error| fail(&format!("listen at {}", options.listen), error))?;
        // Without systemd this does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let source = Source::new(options.runtime.control_socket());
        tokio::select! {
            () = serve(&listener, source) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    });
    // Does not wait for a daemon that does not answer.
    runtime.shutdown_background();
    outcome
}

/// Answers all clients.
async fn serve(listener: &TcpListener, source: Source) {
    let source = Arc::new(source);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    // A slow or disconnected client concerns only itself.
                    let _ = timeout(PATIENCE, converse(stream, &source)).await;
                    drop(place);
                });
            }
            Err(error) => {
                let _ =
                    Failed::General.reasons(format_args!("cannot accept a connection: {error}"));
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the request of one connection.
async fn converse(stream: TcpStream, source: &Source) -> hyper::Result<()> {
    let answer = |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(&request, source).await)
    };
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(Stream(stream), service_fn(answer))
        .await
}

async fn answer(request: &Request<Incoming>, source: &Source) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "the exporter answers GET and HEAD only\n".to_owned();
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", text);
        let methods = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, methods);
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let format = Format::accepted(request.headers().get(ACCEPT));
            let snapshot = source.snapshot().await;
            let text = metrics::render(snapshot.as_deref(), format);
            respond(StatusCode::OK, format.content_type(), text)
        }
        "/" => respond(StatusCode::OK, "text/html", INDEX.to_owned()),
        _ => {
            let text = "no such page: the metrics are at /metrics\n".to_owned();
            respond(StatusCode::NOT_FOUND, "text/plain", text)
        }
    }
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The daemon's control socket, with the last answer.
struct Source {
    socket: PathBuf,
    latest: Mutex<Option<Latest>>,
}

/// Answer of the daemon.
struct Latest {
    at: Instant,
    /// `None` if it did not answer.
    snapshot: Option<Arc<Snapshot>>,
}

impl Source {
    fn new(socket: PathBuf) -> Self {
        let latest = Mutex::default();
        Self { socket, latest }
    }

    /// Snapshot of the daemon, if it answers. Requests at the same time share one answer.
    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut latest = self.latest.lock().await;
        if let Some(Latest { at, snapshot }) = &*latest
            && at.elapsed() < FRESH
        {
            return snapshot.clone();
        }
        let socket = self.socket.clone();
        let asking = spawn_blocking(move || status::parse(&status::ask(&socket)?));
        let answer = match asking.await {
            Ok(answer) => answer,
            Err(error) => Err(format!("cannot ask the daemon: {error}")),
        };
        // The reason is reported when it begins, and not at every request.
        if let Err(error) = &answer
            && latest.as_ref().is_none_or(|it| it.snapshot.is_some())
        {
            let _ = Failed::General.reasons(error);
        }
        let snapshot = answer.ok().map(Arc::new);
        *latest = Some(Latest {
            at: Instant::now(),
            snapshot: snapshot.clone(),
        });
        snapshot
    }
}

#[cfg(test)]
mod tests;
