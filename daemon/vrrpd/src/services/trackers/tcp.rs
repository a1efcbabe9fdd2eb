//! Trackers of kind `tcp`: a port that has to accept connections, and optionally to send a text.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vrrp_config::Tcp;

use super::complaint::Complaint;
use super::network::{Answer, Listener, Target, connect};
use super::time_limit::TimeLimit;
use super::{Reporter, turns};

/// Task of one tracker.
pub(super) async fn follow(tcp: Tcp, mut reporter: Reporter) {
    let mut turns = turns(tcp.rhythm.interval);
    let mut target = Target::new(&tcp.host, &tcp.origin);
    loop {
        turns.tick().await;
        let answer = ask(&tcp, &mut target).await;
        if reporter.report_answer(answer).is_err() {
            return;
        }
    }
}

/// Probes once.
async fn ask(tcp: &Tcp, target: &mut Target) -> Result<Answer, Complaint> {
    let time_limit = TimeLimit::of(tcp.rhythm.timeout);
    let (mut stream, place) = connect(target, tcp.port, &tcp.origin, &time_limit).await?;
    if let Some(text) = &tcp.send {
        let sending = stream.write_all(text.as_bytes());
        let sent = time_limit.wait(sending, || format!("{place} accepted no data"));
        sent.await?
            .map_err(|error| format!("cannot send to {place}: {error}"))?;
    }
    let what = match &tcp.expect {
        None => "connected".to_owned(),
        Some(expected) => {
            let mut listener = Listener::new(Some(expected));
            let listening = listen(&mut stream, place, &mut listener);
            let heard = time_limit.wait(listening, String::new).await;
            heard.unwrap_or_else(|late| Err(listener.complaint(place, &late)))?;
            "sent the expected text".to_owned()
        }
    };
    Ok(Answer {
        what,
        after: time_limit.so_far(),
    })
}

/// Reads until the expected text was found.
async fn listen(
    stream: &mut TcpStream,
    place: SocketAddr,
    listener: &mut Listener<'_>,
) -> Result<(), String> {
    let mut buffer = [0; 4096];
    while !listener.has_heard() {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err(listener.complaint(place, " before it closed the connection")),
            Ok(length) => listener.take(buffer.get(..length).unwrap_or_default()),
            Err(error) => return Err(listener.complaint(place, &format!(" ({error})"))),
        }
        if listener.is_full() && !listener.has_heard() {
            return Err(listener.complaint(place, " in its first 64 KiB"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use vrrp_config::{Host, Origin, Rhythm};

    use super::*;

    /// Far longer than a server on this host takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn accepted_connection_is_up() {
        let server = server("").await;
        assert_eq!(check(&server.tcp).await, Ok("connected".to_owned()));
    }

    #[tokio::test]
    async fn port_without_listener_is_refused() {
        let server = server("").await;
        let (tcp, place) = (server.tcp.clone(), server.place);
        server.stop().await;
        let refused = format!("connection to {place} refused");
        assert_eq!(check(&tcp).await, Err(refused));
    }

    #[tokio::test]
    async fn expected_text_has_to_be_received() {
        let mut server = server("220 mail.example\r\n").await;
        server.tcp.expect = Some("220 ".to_owned());
        let up = Ok("sent the expected text".to_owned());
        assert_eq!(check(&server.tcp).await, up);
        server.tcp.expect = Some("250 ".to_owned());
        let place = server.place;
        let complaint = format!(
            r#"no "250 " in the answer of {place} before it closed the connection: "220 mail.example""#
        );
        assert_eq!(check(&server.tcp).await, Err(complaint));
    }

    #[tokio::test]
    async fn configured_text_is_sent() {
        let mut server = server("+").await;
        server.tcp.send = Some("PING\r\n".to_owned());
        server.tcp.expect = Some("+PING".to_owned());
        let up = Ok("sent the expected text".to_owned());
        assert_eq!(check(&server.tcp).await, up);
    }

    #[tokio::test]
    async fn silent_server_fails_after_timeout() {
        // The kernel accepts the connection; no program reads from it.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = listener.local_addr().unwrap();
        let mut tcp = tcp(place);
        tcp.expect = Some("220 ".to_owned());
        tcp.rhythm.timeout = Duration::from_millis(100);
        let complaint = format!("{place} sent nothing within 0.1 s");
        assert_eq!(check(&tcp).await, Err(complaint));
    }

    #[tokio::test]
    async fn missing_source_address_is_reported() {
        let mut server = server("").await;
        server.tcp.origin.source = Some([192, 0, 2, 1].into());
        let complaint = "cannot bind to 192.0.2.1: Cannot assign requested address (os error 99)";
        assert_eq!(check(&server.tcp).await, Err(complaint.to_owned()));
    }

    struct Server {
        tcp: Tcp,
        place: SocketAddr,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        /// Stops the server, and waits until its port is free.
        async fn stop(self) {
            self.task.abort();
            let _ = self.task.await;
        }
    }

    /// A server that sends `greeting`; with the greeting `+` it also echoes 6 bytes. Then it closes
    /// the connection.
    async fn server(greeting: &'static str) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(greeting.as_bytes()).await.unwrap();
                let mut heard = [0; 6];
                if greeting == "+" && stream.read_exact(&mut heard).await.is_ok() {
                    stream.write_all(&heard).await.unwrap();
                }
            }
        });
        Server {
            tcp: tcp(place),
            place,
            task,
        }
    }

    fn tcp(place: SocketAddr) -> Tcp {
        Tcp {
            host: Host::Address(place.ip()),
            port: place.port(),
            origin: Origin::default(),
            rhythm: Rhythm {
                interval: Duration::from_secs(1),
                timeout: PATIENCE,
            },
            send: None,
            expect: None,
        }
    }

    async fn check(tcp: &Tcp) -> Result<String, String> {
        let mut target = Target::new(&tcp.host, &tcp.origin);
        let answer = ask(tcp, &mut target).await;
        answer
            .map(|answer| answer.what)
            .map_err(|complaint| complaint.to_string())
    }
}
