//! docs/recipes/kubernetes.md, with fakes of the API servers.

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Master};

use crate::common::SOON;
use crate::fake;
use crate::site::{INSTANCE, Site, VIP};

pub(crate) fn address_follows_a_ready_api_server() -> Outcome {
    let site = Site::new("kubernetes", "cp1", "cp2")?;
    let (cp1, cp2) = (&site.a, &site.b);
    let first = api_server(&cp1.host)?;
    let _second = api_server(&cp2.host)?;
    let (a, b) = site.daemons()?;
    let is_up = |line: &str| line.contains("tracker apiserver: 200 OK");
    a.process().wait_for_line(is_up, SOON)?;

    let unready = Moment::now();
    fake::set(&cp1.host, "readyz", None)?;
    let moved = cp2.address_event(VIP, true, unready)?;
    site.assert_bound("`/readyz` fails", moved.since(unready))?;
    a.wait_for_state(INSTANCE, Backup, SOON)?;
    site.wait_for_only_holder(cp2)?;

    let ready = Moment::now();
    fake::set(&cp1.host, "readyz", Some("ok"))?;
    b.wait_for(INSTANCE, Master, Backup, ready, SOON)?;
    site.wait_for_only_holder(cp1)?;

    let killed = Moment::now();
    first.kill(Signal::SIGKILL)?;
    let moved = cp2.address_event(VIP, true, killed)?;
    site.assert_bound("the API server ends", moved.since(killed))?;
    let first = api_server(&cp1.host)?;
    b.wait_for(INSTANCE, Master, Backup, killed, SOON)?;
    site.wait_for_only_holder(cp1)?;

    let dead = Moment::now();
    drop(first);
    cp1.host.power_off()?;
    let moved = cp2.address_event(VIP, true, dead)?;
    site.assert_bound("`cp1` loses power", moved.since(dead))?;

    let booted = Moment::now();
    cp1.host.power_on()?;
    let _first = api_server(&cp1.host)?;
    let _a = site.daemon(cp1)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    site.wait_for_only_holder(cp1)?;
    Ok(())
}

/// Starts a fake of an API server with a certificate like kubeadm's, which names neither localhost nor
/// 127.0.0.1.
fn api_server(host: &Host) -> Result<Process> {
    const PKI: &str = "/etc/kubernetes/pki";
    // Each host has an authority of its own: the trackers ask the server of their host only.
    host.shell(&format!(
        "mountpoint -q {PKI} && exit; mkdir -p {PKI}; mount -t tmpfs lab {PKI}; cd {PKI}
         key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
         openssl req -x509 $key -keyout ca.key -out ca.crt -subj /CN=kubernetes
         echo 'subjectAltName=DNS:kubernetes,DNS:kubernetes.default,IP:10.96.0.1,IP:192.0.2.100' >names
         openssl req $key -keyout apiserver.key -out request -subj /CN=kube-apiserver
         openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names \
           -out apiserver.crt"
    ))?;
    let [certificate, key] = ["crt", "key"].map(|kind| format!("{PKI}/apiserver.{kind}"));
    let server = fake::serve_with(host, &["0.0.0.0", "6443", &certificate, &key])?;
    fake::set(host, "readyz", Some("ok"))?;
    Ok(server)
}
