//! docs/recipes/haproxy.md.

use std::process::Command;

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Client, Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, Station, set};
use crate::site::{INSTANCE, Site, VIP, start, wait_for_port};

pub(crate) fn haproxy_pair_serves_after_each_failure() -> Outcome {
    let site = Site::new("haproxy", "lb1", "lb2")?;
    let (web1, web2) = (site.station("web1", 21)?, site.station("web2", 22)?);
    let _servers = [httpd(&web1)?, httpd(&web2)?];
    let service = serve(&site.a.host)?;
    let _other = serve(&site.b.host)?;
    let (a, b) = site.daemons()?;
    let client = site.client.host.client(VIP)?;
    client.wait_for("web1", SOON)?;
    client.wait_for("web2", SOON)?;

    let killed = Moment::now();
    service.kill(Signal::SIGKILL)?;
    b.wait_for(INSTANCE, Backup, Master, killed, SOON)?;
    site.assert_outage(&client, "HAProxy ends", killed, served(&client)?)?;
    a.wait_for_state(INSTANCE, Fault, SOON)?;
    site.wait_for_only_holder(&site.b)?;

    let repaired = Moment::now();
    let service = serve(&site.a.host)?;
    b.wait_for(INSTANCE, Master, Backup, repaired, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    site.assert_outage(&client, "HAProxy is back", repaired, served(&client)?)?;

    let hung = Moment::now();
    service.kill(Signal::SIGSTOP)?;
    b.wait_for(INSTANCE, Backup, Master, hung, SOON)?;
    site.assert_outage(&client, "HAProxy hangs", hung, served(&client)?)?;
    service.kill(Signal::SIGCONT)?;
    b.wait_for(INSTANCE, Master, Backup, hung, SOON)?;
    site.wait_for_only_holder(&site.a)?;

    let dead = Moment::now();
    site.a.host.power_off()?;
    b.wait_for(INSTANCE, Backup, Master, dead, SOON)?;
    site.assert_outage(&client, "`lb1` loses power", dead, served(&client)?)?;

    let booted = Moment::now();
    site.a.host.power_on()?;
    let _service = serve(&site.a.host)?;
    let a = site.daemon(&site.a)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    site.assert_outage(&client, "`lb1` is back", booted, served(&client)?)?;

    let lost = Moment::now();
    for server in [&web1, &web2] {
        let route = format!("ip route add unreachable {}", server.address);
        site.a.host.shell(&route)?;
    }
    b.wait_for(INSTANCE, Backup, Master, lost, SOON)?;
    let failure = "`lb1` loses its path to the web servers";
    site.assert_outage(&client, failure, lost, served(&client)?)?;
    site.wait_for_only_holder(&site.b)?;
    site.a.host.shell("ip route flush type unreachable")?;
    b.wait_for(INSTANCE, Master, Backup, lost, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    client.wait_for("web2", SOON)?;

    // Without web servers there is still a master, which answers with 503.
    let lost = Moment::now();
    web1.host.power_off()?;
    web2.host.power_off()?;
    for daemon in [&a, &b] {
        let is_down = |line: &str| line.contains("tracker servers is down: status 503");
        daemon.process().wait_for_line(is_down, SOON)?;
    }
    let unavailable = |ask: &vrrp_lab::Ask| {
        ask.asked > lost && ask.answer.as_ref().is_err_and(|why| why.contains("503"))
    };
    let ask = client.asks().wait_for(unavailable, SOON);
    assert!(ask.is_some(), "no answer with 503");
    a.wait_for_state(INSTANCE, Master, SOON)?;
    site.wait_for_only_holder(&site.a)?;
    Ok(())
}

pub(crate) fn haproxy_binds_the_address_only_with_the_sysctl_of_the_page() -> Outcome {
    let site = Site::new("haproxy", "lb1", "lb2")?;
    set(&site.a.host, "ipv4/ip_nonlocal_bind", "0")?;
    let service = start(&site.a.host, &HAPROXY)?;
    assert!(!service.wait(SOON)?.success());
    let log = service.log();
    assert!(log.contains("[192.0.2.100:80]"), "{log}");
    Ok(())
}

/// The command of Debian's unit, without supervisor process.
const HAPROXY: [&str; 4] = ["haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"];

fn serve(host: &Host) -> Result<Process> {
    let service = start(host, &HAPROXY)?;
    wait_for_port(host, &service, "127.0.0.1:8404")?;
    Ok(service)
}

/// Starts a web server that answers with the name of its host.
fn httpd(station: &Station) -> Result<Process> {
    let mut command = Command::new(vrrp_lab::exe()?);
    command.args(["__httpd", "--name", station.host.name()]);
    command.args(["--listen", "0.0.0.0:80"]);
    let server = station.host.spawn(command)?;
    server.wait_for_line(|line| line.contains("listening"), SOON)?;
    Ok(server)
}

/// Waits for the next answer.
fn served(client: &Client) -> Result<Moment> {
    client.wait_for("web1", SOON)
}
