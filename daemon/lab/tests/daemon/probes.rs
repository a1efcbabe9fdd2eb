//! Trackers that probe over the network: HTTP, TCP and ping.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Result};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{
    INTERVAL, LATE, SOON, assert_waited, instance, only, set, skew, tracked, with,
};
use crate::pair::{HIGH, LOW, Pair};
use crate::trackers::wait_for_tracker;

/// Interval of the probes in these tests, and their timeout.
const RHYTHM: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) fn unhealthy_web_server_causes_failover_within_a_second() -> Outcome {
    let pair = Pair::new()?;
    let server = Server::start(&pair.a.host)?;
    let page =
        json!({ "http": { "url": "http://127.0.0.1:8080/health", "expect": "all is well" } });
    let (a, b) = start(&pair, page)?;
    wait_for_detail(&a, "200 OK after ")?;

    let ill = Moment::now();
    server.is_ill.store(true, Ordering::Relaxed);
    let reason = "status 503 Service Unavailable, expected 200 to 299";
    assert_failover(&pair, (&a, &b), ill, reason)?;

    let up = Moment::now();
    server.is_ill.store(false, Ordering::Relaxed);
    wait_for_failback(&a, up)
}

pub(crate) fn hanging_web_server_causes_failover() -> Outcome {
    let pair = Pair::new()?;
    let server = Server::start(&pair.a.host)?;
    let (a, b) = start(
        &pair,
        json!({ "http": { "url": "http://127.0.0.1:8080/" } }),
    )?;
    let hung = Moment::now();
    server.hangs.store(true, Ordering::Relaxed);
    let reason = "no response from 127.0.0.1:8080 within 0.5 s";
    assert_failover(&pair, (&a, &b), hung, reason)?;
    let up = Moment::now();
    server.hangs.store(false, Ordering::Relaxed);
    wait_for_failback(&a, up)
}

pub(crate) fn closed_port_is_fault() -> Outcome {
    let pair = Pair::new()?;
    let server = Server::start(&pair.a.host)?;
    let port = json!({ "tcp": { "host": "127.0.0.1", "port": 8080 } });
    let (a, b) = start(&pair, port)?;
    wait_for_detail(&a, "connected after ")?;
    let gone = Moment::now();
    server.stop()?;
    assert_failover(
        &pair,
        (&a, &b),
        gone,
        "connection to 127.0.0.1:8080 refused",
    )?;
    let up = Moment::now();
    let _server = Server::start(&pair.a.host)?;
    wait_for_failback(&a, up)
}

pub(crate) fn unreachable_gateway_is_fault() -> Outcome {
    assert_gateway_is_watched(|_| Ok(()))
}

pub(crate) fn gateway_is_pinged_through_permitted_ping_socket() -> Outcome {
    // Permits ping sockets for the daemon's group, the only group with a name in the user namespace.
    assert_gateway_is_watched(|host| set(host, "ipv4/ping_group_range", "0 0"))
}

pub(crate) fn ipv6_gateway_is_pinged_through_its_interface() -> Outcome {
    let pair = Pair::new()?;
    let gateway = pair.lan.station("gateway", 1)?;
    gateway
        .host
        .shell("ip address add fe80::1/64 dev ens33 nodad")?;
    let ping = json!({ "ping": { "host": "fe80::1", "interface": "ens33" } });
    let (a, _b) = start(&pair, ping)?;
    wait_for_detail(&a, "answered after ")?;
    let pulled = Moment::now();
    gateway.cable.pull()?;
    let line = a.wait_for("VI_1", Master, Fault, pulled, SOON)?.text;
    assert!(line.ends_with(": tracker check is down"), "{line}");
    let plugged = Moment::now();
    gateway.cable.plug()?;
    wait_for_failback(&a, plugged)
}

fn assert_gateway_is_watched(prepare: impl Fn(&Host) -> Result<()>) -> Outcome {
    let pair = Pair::new()?;
    let gateway = pair.lan.station("gateway", 1)?;
    prepare(&pair.a.host)?;
    let ping = json!({ "ping": { "host": "192.168.224.1", "source": "192.168.224.11" } });
    let (a, b) = start(&pair, ping)?;
    wait_for_detail(&a, "answered after ")?;
    let pulled = Moment::now();
    gateway.cable.pull()?;
    let reason = "no answer from 192.168.224.1 within 0.5 s";
    assert_failover(&pair, (&a, &b), pulled, reason)?;
    let plugged = Moment::now();
    gateway.cable.plug()?;
    wait_for_failback(&a, plugged)
}

/// Asserts that a hands over to b and logs `reason`, as soon as its tracker can detect the event at
/// `since`.
fn assert_failover(
    pair: &Pair,
    (a, b): (&Vrrpd<'_>, &Vrrpd<'_>),
    since: Moment,
    reason: &str,
) -> Result<()> {
    let resigned = pair.lan.advert(since, |advert| advert.priority == 0)?;
    let noticed = resigned.at.since(since);
    assert!(noticed < RHYTHM + PATIENCE + LATE, "after {noticed:?}");
    let takeover = pair.lan.advert_of(&pair.b, since)?;
    assert_waited(resigned.at, takeover.at, skew(LOW, INTERVAL));
    let line = a.wait_for("VI_1", Master, Fault, since, SOON)?.text;
    assert!(line.ends_with(": tracker check is down"), "{line}");
    b.wait_for("VI_1", Backup, Master, since, SOON)?;
    let said = format!("tracker check is down: {reason}");
    a.process()
        .wait_for_line(|line| line.contains(&said), SOON)?;
    let status = a.status()?;
    assert_eq!(status.trackers[0].up, Some(false));
    Ok(())
}

/// Waits until a is master again.
fn wait_for_failback(a: &Vrrpd<'_>, since: Moment) -> Outcome {
    a.wait_for("VI_1", Fault, Backup, since, SOON)?;
    a.wait_for_state("VI_1", Master, SOON)?;
    Ok(())
}

/// Waits until the tracker is up with a detail that starts with `beginning`.
fn wait_for_detail(daemon: &Vrrpd<'_>, beginning: &str) -> Result<()> {
    wait_for_tracker(daemon, |tracker| {
        tracker.up == Some(true) && tracker.detail.starts_with(beginning)
    })
}

/// Starts a, which is master and in fault while the tracker is down, and the usual backup.
fn start<'p>(pair: &'p Pair, tracker: Value) -> Result<(Vrrpd<'p>, Vrrpd<'p>)> {
    let mut tracker = tracker;
    for kind in tracker.as_object_mut().into_iter().flatten() {
        let rhythm = json!({ "interval": "200ms", "timeout": "500ms" });
        *kind.1 = with(kind.1.clone(), rhythm);
    }
    let whole = tracked(
        json!({ "check": tracker }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": ["check"] })) }),
    );
    pair.start_with(&whole, &only(instance(LOW)))
}

/// Web server on port 8080 of a host. The test can make it unhealthy or let it hang.
struct Server {
    is_ill: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    place: TcpListener,
}

impl Server {
    fn start(host: &Host) -> Result<Self> {
        let started = |error| Error::new("starting a web server", error);
        let listener = host.run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)));
        let listener = listener.map_err(started)?;
        let [is_ill, hangs, is_over] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let place = listener.try_clone().map_err(started)?;
        let flags = [&is_ill, &hangs, &is_over].map(Arc::clone);
        let thread = std::thread::spawn(move || {
            let [is_ill, hangs, is_over] = flags;
            let mut unanswered = Vec::new();
            loop {
                let stream = match listener.accept() {
                    Ok((stream, _)) => stream,
                    Err(_) if is_over.load(Ordering::Relaxed) => return,
                    Err(_) => continue,
                };
                if hangs.load(Ordering::Relaxed) {
                    unanswered.push(stream);
                } else {
                    // A TCP probe sends no request, so the answer may fail.
                    let _ = answer(stream, is_ill.load(Ordering::Relaxed));
                }
            }
        });
        Ok(Self {
            is_ill,
            hangs,
            is_over,
            thread: Some(thread),
            place,
        })
    }

    /// Stops the server and closes the port.
    fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        // Shutting the socket down ends the thread's accept(2) with EINVAL.
        let shut = nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&self.place),
            nix::sys::socket::Shutdown::Read,
        );
        shut.map_err(|errno| Error::new("stopping a web server", errno))?;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn answer(mut stream: TcpStream, is_ill: bool) -> std::io::Result<()> {
    let mut line = String::new();
    let mut request = BufReader::new(stream.try_clone()?);
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, page) = if is_ill {
        ("503 Service Unavailable", "out of order")
    } else {
        ("200 OK", "all is well")
    };
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}
