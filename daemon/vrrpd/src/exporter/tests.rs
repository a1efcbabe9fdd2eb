use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::testing::{self, Directory};

/// Status of a host with an instance in each state and all optional parts.
const STATUS: &str = include_str!("tests/status.json");

#[test]
fn metrics_equal_the_snapshot_in_their_text() {
    let snapshot = status::parse(STATUS).unwrap();
    let text = metrics::render(Some(&snapshot), Format::Prometheus);
    insta::assert_snapshot!(text);
}

#[test]
fn metrics_without_a_daemon_are_vrrp_up_alone() {
    insta::assert_snapshot!(metrics::render(None, Format::OpenMetrics), @"
    # HELP vrrp_up Whether the daemon answered: 1 or 0.
    # TYPE vrrp_up gauge
    vrrp_up 0
    # EOF
    ");
}

#[tokio::test]
async fn request_for_metrics_is_answered_from_the_socket() {
    let directory = Directory::new();
    let daemon = Daemon::start(&directory.path("control.sock"));
    let exporter = Exporter::start(&directory.path("control.sock")).await;
    let response = exporter.get("/metrics").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{response}"
    );
    assert!(response.contains("\nvrrp_up 1\n"), "{response}");
    assert!(
        response.contains("\nvrrp_priority{vrrp_instance=\"VI_1\"} 80\n"),
        "{response}"
    );
    let accepting =
        "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text\r\n\r\n";
    let response = exporter.ask(accepting).await;
    assert!(response.ends_with("\n# EOF\n"), "{response}");
    // The second request came within a second.
    assert_eq!(daemon.answers(), 1);
}

#[tokio::test]
async fn dead_daemon_is_not_up_and_blocks_no_request() {
    let directory = Directory::new();
    let exporter = Exporter::start(&directory.path("control.sock")).await;
    let response = exporter.get("/metrics").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\nvrrp_up 0\n"), "{response}");
}

#[tokio::test]
async fn other_pages_methods_and_long_heads_are_refused() {
    let exporter = Exporter::start(Path::new("/nowhere")).await;
    let index = exporter.get("/").await;
    assert!(index.contains("href=\"/metrics\""), "{index}");
    for page in ["/metrics/", "/status", "/../metrics"] {
        let response = exporter.get(page).await;
        assert!(response.starts_with("HTTP/1.1 404 Not Found"), "{response}");
    }
    let response = exporter
        .ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(
        response.starts_with("HTTP/1.1 405 Method Not Allowed"),
        "{response}"
    );
    assert!(response.contains("allow: GET, HEAD\r\n"), "{response}");
    let long = "x".repeat(2 * LONGEST_HEAD);
    let response = exporter
        .ask(&format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n"))
        .await;
    let refusal = "HTTP/1.1 431 Request Header Fields Too Large";
    assert!(response.starts_with(refusal), "{response}");
}

#[tokio::test]
async fn idle_connections_leave_places_for_requests() {
    let exporter = Exporter::start(Path::new("/nowhere")).await;
    let mut idle = Vec::new();
    for _ in 1..CONNECTIONS {
        idle.push(exporter.connect().await);
    }
    let response = exporter.get("/").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    idle.push(exporter.connect().await);
    // All places are taken: the next request waits until a client has gone.
    let mut waiting = exporter.connect().await;
    waiting.write_all(GET.as_bytes()).await.unwrap();
    drop(idle);
    let mut response = String::new();
    waiting.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Exporter on a port of its own.
struct Exporter {
    at: std::net::SocketAddr,
}

impl Exporter {
    async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let source = Source::new(socket.to_owned());
        tokio::spawn(async move { serve(&listener, source).await });
        Self { at }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    async fn get(&self, page: &str) -> String {
        self.ask(&format!("GET {page} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        let reading = stream.read_to_string(&mut response);
        timeout(testing::PATIENCE, reading).await.unwrap().unwrap();
        response
    }
}

/// Control socket that answers every client with [`STATUS`].
struct Daemon(Arc<AtomicU32>);

impl Daemon {
    fn start(socket: &Path) -> Self {
        let answers = Arc::new(AtomicU32::new(0));
        let listener = UnixListener::bind(socket).unwrap();
        let counter = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.and_then(|mut stream| stream.write_all(STATUS.as_bytes()));
            }
        });
        Self(answers)
    }

    fn answers(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}
