use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use vrrp_config::{Origin, Rhythm, Trust, Url};

use super::*;

/// Far longer than a server on this host takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates that `tests/tls/make` created.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

#[tokio::test]
async fn status_is_the_verdict() {
    let place = server(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]).await;
    assert_eq!(check(&http(place)).await, Ok("200 OK".to_owned()));

    let place = server(&["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"]).await;
    let complaint = "status 503 Service Unavailable, expected 200 to 299";
    assert_eq!(check(&http(place)).await, Err(complaint.to_owned()));
    let mut picky = http(place);
    picky.status = vec![200..=200, 301..=302];
    let complaint = "status 503 Service Unavailable, expected 200 or 301 to 302";
    assert_eq!(check(&picky).await, Err(complaint.to_owned()));
    picky.status = vec![500..=599];
    let up = Ok("503 Service Unavailable".to_owned());
    assert_eq!(check(&picky).await, up);
}

#[tokio::test]
async fn redirection_is_reported_and_not_followed() {
    const HEAD: &str =
        "HTTP/1.1 302 Found\r\nLocation: https://b.example/\r\nContent-Length: 0\r\n\r\n";
    let place = server(&[HEAD]).await;
    let complaint = "status 302 Found with location \"https://b.example/\", expected 200 to 299";
    assert_eq!(check(&http(place)).await, Err(complaint.to_owned()));
}

#[tokio::test]
async fn expected_text_has_to_be_in_the_page() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let place = server(&[CHUNKED, "9\r\n<p>all is\r\n", "5\r\n well\r\n", "0\r\n\r\n"]).await;
    let mut http = http(place);
    http.expect = Some("all is well".to_owned());
    assert_eq!(check(&http).await, Ok("200 OK".to_owned()));
    http.expect = Some("all is lost".to_owned());
    let complaint = format!(r#"no "all is lost" in the answer of {place}: "<p>all is well""#);
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn only_beginning_of_long_page_is_read() {
    let place = server(&["HTTP/1.0 200 OK\r\n\r\n", FLOOD]).await;
    let mut http = http(place);
    assert_eq!(check(&http).await, Ok("200 OK".to_owned()));
    http.expect = Some("the end".to_owned());
    let complaint = check(&http).await.unwrap_err();
    assert!(
        complaint.contains(" in its first 64 KiB: \"xxx"),
        "{complaint}"
    );
}

#[tokio::test]
async fn endless_head_is_an_error() {
    let place = server(&["HTTP/1.1 200 OK\r\nX: ", FLOOD]).await;
    let complaint = check(&http(place)).await.unwrap_err();
    assert!(
        complaint.starts_with(&format!("the response of {place} is not HTTP: ")),
        "{complaint}"
    );
}

#[tokio::test]
async fn response_of_another_protocol_is_an_error() {
    let place = server(&["220 mail.example ready\r\n\r\n"]).await;
    let complaint = check(&http(place)).await.unwrap_err();
    let beginning = format!("the response of {place} is not HTTP: ");
    assert!(complaint.starts_with(&beginning), "{complaint}");
}

#[tokio::test]
async fn closed_connection_is_an_error() {
    for parts in [
        &[][..],
        &["HTTP/1.1 200"],
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"],
    ] {
        let place = server(parts).await;
        let complaint = check(&http(place)).await.unwrap_err();
        let expected = format!("{place} closed the connection before its response was complete");
        // hyper reports a page that is cut off as an error of the body.
        let other = format!("no response from {place}: ");
        assert!(
            complaint == expected || complaint.starts_with(&other),
            "{parts:?}: {complaint}"
        );
    }
}

#[tokio::test]
async fn silent_server_fails_after_timeout() {
    let place = server(&[STANDSTILL]).await;
    let mut silent = http(place);
    silent.rhythm.timeout = Duration::from_millis(100);
    let complaint = format!("no response from {place} within 0.1 s");
    assert_eq!(check(&silent).await, Err(complaint));

    let place = server(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", STANDSTILL]).await;
    let mut slow = http(place);
    slow.rhythm.timeout = Duration::from_millis(500);
    let complaint = format!("incomplete response from {place} within 0.5 s");
    assert_eq!(check(&slow).await, Err(complaint));
}

#[tokio::test]
async fn request_has_configured_method_and_headers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    let mut http = http(place);
    http.url = Url::try_from(format!("http://www.example:{}/a?b=c", place.port())).unwrap();
    http.address = Some(place.ip());
    http.method = Method::Head;
    http.headers = [("x-who", "me"), ("user-agent", "you")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let asked = tokio::spawn(async move { check(&http).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let question = question(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(asked.await.unwrap(), Ok("200 OK".to_owned()), "no page");
    let port = place.port();
    let (line, headers) = question.split_once("\r\n").unwrap();
    assert_eq!(line, "HEAD /a?b=c HTTP/1.1");
    let mut headers: Vec<&str> = headers.trim_end().split("\r\n").collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            "accept: */*",
            "connection: close",
            &format!("host: www.example:{port}"),
            "user-agent: you",
            "x-who: me",
        ]
    );
}

#[tokio::test]
async fn certificate_of_trusted_ca_is_accepted() {
    let place = tls_server("server.pem").await;
    for host in ["localhost", "127.0.0.1"] {
        let http = https(place, host, Trust::File(file("root.pem").into()));
        assert_eq!(check(&http).await, Ok("200 OK".to_owned()), "{host}");
    }
}

#[tokio::test]
async fn certificate_for_another_name_is_rejected() {
    let place = tls_server("server.pem").await;
    let http = https(place, "www.example", Trust::File(file("root.pem").into()));
    let complaint = format!("the certificate of {place} is not valid for www.example");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn certificate_of_unknown_ca_is_rejected() {
    let place = tls_server("server.pem").await;
    // A certificate that has signed no other one.
    let other = file("server.pem");
    let http = https(place, "localhost", Trust::File(other.clone().into()));
    let complaint = format!("the certificate of {place} is not signed by a CA in {other}");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn expired_certificate_is_rejected() {
    let place = tls_server("expired.pem").await;
    let http = https(place, "localhost", Trust::File(file("root.pem").into()));
    let complaint = format!("the certificate of {place} has expired");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn trust_all_accepts_any_certificate() {
    for certificate in ["server.pem", "expired.pem"] {
        let place = tls_server(certificate).await;
        let http = https(place, "www.example", Trust::All);
        assert_eq!(check(&http).await, Ok("200 OK".to_owned()), "{certificate}");
    }
}

#[tokio::test]
async fn missing_ca_file_rejects_all_certificates() {
    let place = tls_server("server.pem").await;
    let nowhere = Trust::File("/nowhere/ca.pem".into());
    let complaint = "cannot read /nowhere/ca.pem: No such file or directory (os error 2)";
    let http_ = https(place, "localhost", nowhere);
    assert_eq!(check(&http_).await, Err(complaint.to_owned()));
    let key = file("server.key");
    let complaint = format!("{key} contains no certificate");
    let http = https(place, "localhost", Trust::File(key.into()));
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn server_without_tls_is_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // It does not understand the TLS handshake.
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let http = https(place, "localhost", Trust::All);
    let complaint = check(&http).await.unwrap_err();
    assert!(
        complaint.starts_with(&format!("TLS handshake with {place} failed: ")),
        "{complaint}"
    );
}

/// Parts for an endless stream of bytes, and for a pause without end.
const FLOOD: &str = "flood";
const STANDSTILL: &str = "standstill";

/// A server that sends `parts` after each request, and closes the connection.
async fn server(parts: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, parts).await;
        }
    });
    place
}

/// Like [`server`], with TLS, this certificate and a page.
async fn tls_server(certificate: &str) -> SocketAddr {
    let certificates = CertificateDer::pem_file_iter(file(certificate)).unwrap();
    let certificates = certificates.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that rejects the certificate closes the connection.
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]).await;
            }
        }
    });
    place
}

/// Reads a request to its end.
async fn question(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => question.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&question).into_owned()
}

/// Sends `parts` after a request, each separately. The client may close the connection at any time.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, parts: &[&str]) {
    question(&mut stream).await;
    for part in parts {
        match *part {
            STANDSTILL => std::future::pending().await,
            FLOOD => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
            part => drop(stream.write_all(part.as_bytes()).await),
        }
        let _ = stream.flush().await;
    }
    let _ = stream.shutdown().await;
}

fn file(name: &str) -> String {
    format!("{CERTIFICATES}/{name}")
}

fn http(place: SocketAddr) -> Http {
    Http {
        url: Url::try_from(format!("http://{place}/")).unwrap(),
        address: None,
        method: Method::Get,
        headers: std::collections::BTreeMap::new(),
        origin: Origin::default(),
        rhythm: Rhythm {
            interval: Duration::from_secs(1),
            timeout: PATIENCE,
        },
        status: vec![200..=299],
        expect: None,
        trust: Trust::System,
    }
}

/// Like [`http`], with TLS and the server name `host`.
fn https(place: SocketAddr, host: &str, trust: Trust) -> Http {
    Http {
        url: Url::try_from(format!("https://{host}:{}/", place.port())).unwrap(),
        address: Some(place.ip()),
        trust,
        ..http(place)
    }
}

async fn check(http: &Http) -> Result<String, String> {
    let mut asker = Asker::new(http.clone(), Arc::default());
    let answer = asker.ask().await;
    answer
        .map(|answer| answer.what)
        .map_err(|complaint| complaint.to_string())
}
