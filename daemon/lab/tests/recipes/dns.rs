//! docs/recipes/dns.md.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::SOON;
use crate::site::{INSTANCE, Site, VIP, start};

pub(crate) fn resolver_pair_answers_after_each_failure() -> Outcome {
    let site = Site::new("dns", "dns1", "dns2")?;
    let service = serve(&site.a.host)?;
    let _other = serve(&site.b.host)?;
    let (a, b) = site.daemons()?;
    wait_for_answer(&site.client.host, VIP)?;

    let stopped = Moment::now();
    service.terminate(SOON)?;
    let answered = wait_for_answer(&site.client.host, VIP)?;
    site.assert_bound("unbound ends", answered.since(stopped))?;
    a.wait_for_state(INSTANCE, Fault, SOON)?;
    site.wait_for_only_holder(&site.b)?;

    let repaired = Moment::now();
    let service = serve(&site.a.host)?;
    b.wait_for(INSTANCE, Master, Backup, repaired, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    wait_for_answer(&site.client.host, VIP)?;

    let hung = Moment::now();
    service.kill(Signal::SIGSTOP)?;
    let answered = wait_for_answer(&site.client.host, VIP)?;
    site.assert_bound("unbound hangs", answered.since(hung))?;
    site.wait_for_only_holder(&site.b)?;
    service.kill(Signal::SIGCONT)?;
    b.wait_for(INSTANCE, Master, Backup, hung, SOON)?;
    site.wait_for_only_holder(&site.a)?;

    let dead = Moment::now();
    site.a.host.power_off()?;
    let answered = wait_for_answer(&site.client.host, VIP)?;
    site.assert_bound("`dns1` loses power", answered.since(dead))?;
    b.wait_for(INSTANCE, Backup, Master, dead, SOON)?;

    let booted = Moment::now();
    site.a.host.power_on()?;
    let _service = serve(&site.a.host)?;
    let _a = site.daemon(&site.a)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    wait_for_answer(&site.client.host, VIP)?;
    Ok(())
}

/// Starts unbound, and waits until the check of the page succeeds.
fn serve(host: &Host) -> Result<Process> {
    // The key of the root zone is in a package that Debian's unbound only recommends.
    let anchor = "/etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf";
    host.shell(&format!("umount -q {anchor}; rm -f {anchor}"))?;
    let service = start(host, &["unbound", "-d", "-p"])?;
    wait_for_answer(host, IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    Ok(service)
}

/// Asks until there is an answer. Returns the time of the answer.
fn wait_for_answer(host: &Host, server: IpAddr) -> Result<Moment> {
    let started = Moment::now();
    loop {
        match host.run(|| ask(server)) {
            Ok(()) => return Ok(Moment::now()),
            Err(error) if started.elapsed() > SOON => {
                let doing = format!("asking {server} for a name on {}", host.name());
                return Err(Error::new(doing, error));
            }
            // Refused at once by a host without resolver, otherwise after the timeout.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Asks a server for the address of www.home.arpa.
fn ask(server: IpAddr) -> io::Result<()> {
    /// Number 7, recursion desired, one question: type A, class IN.
    const QUERY: &[u8] =
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04home\x04arpa\x00\x00\x01\x00\x01";
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    // A connected socket accepts answers of this address only, as a resolver library does.
    socket.connect((server, 53))?;
    socket.send(QUERY)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let answer = &answer[..length];
    if answer.starts_with(&QUERY[..2]) && answer.ends_with(&[192, 0, 2, 80]) {
        return Ok(());
    }
    Err(io::Error::other(format!("unexpected answer: {answer:?}")))
}
