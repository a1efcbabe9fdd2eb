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

/// Far more than a server on this host needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The certificates that `tests/tls/make` has made.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

#[tokio::test]
async fn the_status_is_the_verdict() {
    let place = server(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]).await;
    assert_eq!(check(&http(place)).await, Ok("200 OK".to_owned()));

    let place = server(&["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"]).await;
    let complaint = "status 503 Service Unavailable instead of 200 to 299";
    assert_eq!(check(&http(place)).await, Err(complaint.to_owned()));
    let mut picky = http(place);
    picky.status = vec![200..=200, 301..=302];
    let complaint = "status 503 Service Unavailable instead of 200 or 301 to 302";
    assert_eq!(check(&picky).await, Err(complaint.to_owned()));
    picky.status = vec![500..=599];
    let up = Ok("503 Service Unavailable".to_owned());
    assert_eq!(check(&picky).await, up);
}

#[tokio::test]
async fn a_redirection_is_named_and_not_followed() {
    const HEAD: &str =
        "HTTP/1.1 302 Found\r\nLocation: https://b.example/\r\nContent-Length: 0\r\n\r\n";
    let place = server(&[HEAD]).await;
    let complaint = "status 302 Found, to \"https://b.example/\", instead of 200 to 299";
    assert_eq!(check(&http(place)).await, Err(complaint.to_owned()));
}

#[tokio::test]
async fn what_is_expected_has_to_be_in_the_page() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let place = server(&[CHUNKED, "9\r\n<p>all is\r\n", "5\r\n well\r\n", "0\r\n\r\n"]).await;
    let mut http = http(place);
    http.expect = Some("all is well".to_owned());
    assert_eq!(check(&http).await, Ok("200 OK".to_owned()));
    http.expect = Some("all is lost".to_owned());
    let complaint = format!(r#"no "all is lost" in what {place} said: "<p>all is well""#);
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn of_a_long_page_the_beginning_is_enough() {
    let place = server(&["HTTP/1.0 200 OK\r\n\r\n", FLOOD]).await;
    let mut http = http(place);
    assert_eq!(check(&http).await, Ok("200 OK".to_owned()));
    http.expect = Some("the end".to_owned());
    let complaint = check(&http).await.unwrap_err();
    assert!(
        complaint.contains(" said in its first 64 KiB: \"xxx"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_head_without_end_is_no_answer() {
    let place = server(&["HTTP/1.1 200 OK\r\nX: ", FLOOD]).await;
    let complaint = check(&http(place)).await.unwrap_err();
    assert!(
        complaint.starts_with(&format!("the answer of {place} is no HTTP: ")),
        "{complaint}"
    );
}

#[tokio::test]
async fn what_is_no_http_is_called_so() {
    let place = server(&["220 mail.example ready\r\n\r\n"]).await;
    let complaint = check(&http(place)).await.unwrap_err();
    let beginning = format!("the answer of {place} is no HTTP: ");
    assert!(complaint.starts_with(&beginning), "{complaint}");
}

#[tokio::test]
async fn who_hangs_up_has_not_answered() {
    for parts in [
        &[][..],
        &["HTTP/1.1 200"],
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"],
    ] {
        let place = server(parts).await;
        let complaint = check(&http(place)).await.unwrap_err();
        let expected = format!("{place} hung up before its answer was whole");
        // A part of a page that is cut off is a broken body to hyper.
        let other = format!("no answer from {place}: ");
        assert!(
            complaint == expected || complaint.starts_with(&other),
            "{parts:?}: {complaint}"
        );
    }
}

#[tokio::test]
async fn who_is_silent_is_not_waited_for_any_longer() {
    let place = server(&[STANDSTILL]).await;
    let mut silent = http(place);
    silent.rhythm.timeout = Duration::from_millis(100);
    let complaint = format!("no answer from {place} within 0.1 s");
    assert_eq!(check(&silent).await, Err(complaint));

    let place = server(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", STANDSTILL]).await;
    let mut slow = http(place);
    slow.rhythm.timeout = Duration::from_millis(500);
    let complaint = format!("the page of {place} did not come to its end within 0.5 s");
    assert_eq!(check(&slow).await, Err(complaint));
}

#[tokio::test]
async fn the_question_says_what_was_configured() {
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
async fn a_server_proves_who_it_is() {
    let place = tls_server("server.pem").await;
    for host in ["localhost", "127.0.0.1"] {
        let http = https(place, host, Trust::File(file("root.pem").into()));
        assert_eq!(check(&http).await, Ok("200 OK".to_owned()), "{host}");
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_not_believed() {
    let place = tls_server("server.pem").await;
    let http = https(place, "www.example", Trust::File(file("root.pem").into()));
    let complaint = format!("the certificate of {place} is not one of www.example");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn a_server_of_somebody_unknown_is_not_believed() {
    let place = tls_server("server.pem").await;
    // A certificate that has signed nobody's.
    let other = file("server.pem");
    let http = https(place, "localhost", Trust::File(other.clone().into()));
    let complaint = format!("the certificate of {place} is from nobody in {other}");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn an_expired_certificate_is_not_believed() {
    let place = tls_server("expired.pem").await;
    let http = https(place, "localhost", Trust::File(file("root.pem").into()));
    let complaint = format!("the certificate of {place} has expired");
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn who_believes_everybody_says_so() {
    for certificate in ["server.pem", "expired.pem"] {
        let place = tls_server(certificate).await;
        let http = https(place, "www.example", Trust::All);
        assert_eq!(check(&http).await, Ok("200 OK".to_owned()), "{certificate}");
    }
}

#[tokio::test]
async fn without_whom_to_trust_nobody_is_believed() {
    let place = tls_server("server.pem").await;
    let nowhere = Trust::File("/nowhere/ca.pem".into());
    let complaint = "cannot read /nowhere/ca.pem: No such file or directory (os error 2)";
    let http_ = https(place, "localhost", nowhere);
    assert_eq!(check(&http_).await, Err(complaint.to_owned()));
    let key = file("server.key");
    let complaint = format!("there is no certificate in {key}");
    let http = https(place, "localhost", Trust::File(key.into()));
    assert_eq!(check(&http).await, Err(complaint));
}

#[tokio::test]
async fn a_server_without_tls_is_no_https() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // It does not understand what it hears.
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    let http = https(place, "localhost", Trust::All);
    let complaint = check(&http).await.unwrap_err();
    assert!(
        complaint.starts_with(&format!("no TLS with {place}: ")),
        "{complaint}"
    );
}

/// What a server says that says more than anybody wants to hear, and that stops in the middle.
const FLOOD: &str = "flood";
const STANDSTILL: &str = "standstill";

/// A server that says `parts` to everybody who has asked, and hangs up.
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

/// As [`server`], with TLS and this certificate, and a page.
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
            // Who does not believe it hangs up.
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]).await;
            }
        }
    });
    place
}

/// Reads a question to its end.
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

/// Says `parts` to who asks, each for itself. Who asks may hang up whenever it wants.
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

/// As [`http`], with TLS, and `host` as the name of the server.
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
    asker.ask().await.map(|answer| answer.what)
}
