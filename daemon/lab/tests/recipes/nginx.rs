//! docs/recipes/nginx.md.

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::SOON;
use crate::site::{INSTANCE, Site, VIP, start, wait_for_port};

pub(crate) fn nginx_pair_serves_after_each_failure() -> Outcome {
    let site = Site::new("nginx", "web1", "web2")?;
    let service = serve(&site.a.host)?;
    let _other = serve(&site.b.host)?;
    let (a, b) = site.daemons()?;
    let client = site.client.host.client(VIP)?;
    client.wait_for("web1", SOON)?;

    let stopped = Moment::now();
    service.kill(Signal::SIGQUIT)?;
    let served = client.wait_for("web2", SOON)?;
    site.assert_outage(&client, "nginx ends", stopped, served)?;
    a.wait_for_state(INSTANCE, Fault, SOON)?;
    site.wait_for_only_holder(&site.b)?;

    let repaired = Moment::now();
    let _service = serve(&site.a.host)?;
    let served = client.wait_for("web1", SOON)?;
    site.assert_outage(&client, "nginx is back", repaired, served)?;
    site.wait_for_only_holder(&site.a)?;

    let dead = Moment::now();
    site.a.host.power_off()?;
    let served = client.wait_for("web2", SOON)?;
    site.assert_outage(&client, "`web1` loses power", dead, served)?;

    let booted = Moment::now();
    site.a.host.power_on()?;
    let _service = serve(&site.a.host)?;
    let a = site.daemon(&site.a)?;
    let served = client.wait_for("web1", SOON)?;
    site.assert_outage(&client, "`web1` is back", booted, served)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    site.wait_for_only_holder(&site.a)?;

    let ended = Moment::now();
    a.process().kill(Signal::SIGTERM)?;
    b.wait_for(INSTANCE, Backup, Master, ended, SOON)?;
    assert!(a.process().wait(SOON)?.success());
    let served = client.wait_for("web2", SOON)?;
    site.assert_outage(&client, "`systemctl stop vrrp`", ended, served)?;
    site.wait_for_only_holder(&site.b)?;
    Ok(())
}

/// Starts nginx with Debian's configuration and the site of the page.
fn serve(host: &Host) -> Result<Process> {
    // Directories of the machine in which nginx writes.
    for directory in ["/var/log/nginx", "/var/lib/nginx"] {
        host.shell(&format!("mount -t tmpfs lab {directory}"))?;
    }
    host.shell("rm -f /etc/nginx/sites-enabled/default")?;
    let service = start(host, &["nginx", "-g", "daemon off;"])?;
    wait_for_port(host, &service, "127.0.0.1:80")?;
    Ok(service)
}
