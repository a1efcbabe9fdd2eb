//! NixOS's DHCP client, which `networking.useDHCP` starts by default, on a host with an interface for a
//! virtual MAC address: `networking.dhcpcd.denyInterfaces` excludes that interface.

use std::process::Command;

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Process, Result};
use vrrp_proto::State::Master;

use crate::common::{Lan, SOON, Station, instance, only, with};
use crate::pair::HIGH;

/// MAC address of virtual router 51, by which dnsmasq identifies its client.
const VIRTUAL_MAC: &str = "00:00:5e:00:01:33";

pub(crate) fn dhcpcd_takes_lease_on_virtual_mac_interface() -> Outcome {
    let stage = Stage::new("")?;
    let _daemon = stage.start()?;
    stage.wait_for("vrrp4.51.ens33: leased")?;
    stage.wait_for("vrrp4.51.ens33: adding default route")?;
    assert!(stage.server.log().contains(VIRTUAL_MAC));
    Ok(())
}

pub(crate) fn denied_dhcpcd_takes_no_lease_on_virtual_mac_interface() -> Outcome {
    let stage = Stage::new("vrrp*")?;
    let _daemon = stage.start()?;
    // A card that is added later gets its lease after the 5 s for which dhcpcd probes the address.
    let segment = &stage.lan.segment;
    let _card = segment.attach(&stage.router.host, "ens34", "10.9.0.1/24")?;
    stage.wait_for("ens34: leased")?;
    let requests = stage.server.log();
    assert!(!requests.contains(VIRTUAL_MAC), "{requests}");
    Ok(())
}

/// Fixture of a host with dhcpcd and a DHCP server on its segment.
struct Stage {
    lan: Lan,
    router: Station,
    server: Process,
    _server: Station,
    client: Process,
}

impl Stage {
    /// Creates the fixture; `denied` is the value of `networking.dhcpcd.denyInterfaces`.
    fn new(denied: &str) -> Result<Self> {
        let lan = Lan::new()?;
        let server_host = lan.station("server", 1)?;
        let server = serve(&server_host.host)?;
        let router = lan.plug_in(Host::with_disks("router", &["/var/lib/dhcpcd"])?, 11)?;
        let client = ask(&router.host, denied)?;
        Ok(Self {
            lan,
            router,
            server,
            _server: server_host,
            client,
        })
    }

    /// Starts the daemon, which creates the interface and becomes master.
    fn start(&self) -> Result<Vrrpd<'_>> {
        let configuration = only(with(instance(HIGH), json!({ "virtualMac": true })));
        let daemon = Vrrpd::start(&self.router.host, &configuration)?;
        daemon.wait_for_state("VI_1", Master, SOON)?;
        Ok(daemon)
    }

    /// Waits for a line of dhcpcd.
    fn wait_for(&self, text: &str) -> Result<()> {
        self.client
            .wait_for_line(|line| line.contains(text), SOON)
            .map(drop)
    }
}

/// Starts dnsmasq.
fn serve(host: &Host) -> Result<Process> {
    let mut command = Command::new("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--log-facility=-",
        "--port=0",
        "--interface=ens33",
        "--dhcp-range=192.168.224.150,192.168.224.199",
        "--dhcp-leasefile=/run/leases",
        "--pid-file=/run/dnsmasq.pid",
        "--no-ping",
        "--user=root",
        "--group=root",
    ]);
    let server = host.spawn(command)?;
    server.wait_for_line(|line| line.contains("DHCP, IP range"), SOON)?;
    Ok(server)
}

/// Starts dhcpcd with what NixOS configures where ens33 has a static address. (In nixpkgs:
/// nixos/modules/services/networking/dhcpcd.nix.)
fn ask(host: &Host, denied: &str) -> Result<Process> {
    let configuration = format!(
        "hostname\n\
         option domain_name_servers, domain_name, domain_search, host_name\n\
         option classless_static_routes, ntp_servers, interface_mtu\n\
         # NixOS has `nohook lookup-hostname`. Here no hook runs: /etc is the machine's.\n\
         script /dev/null\n\
         denyinterfaces ens33 {denied} lo peth* vif* tap* tun* virbr* vnet* vboxnet* sit*\n\
         waitip\n\
         # The lab has no udev.\n\
         nodev\n"
    );
    host.write("/run/dhcpcd.conf", configuration, 0o644)?;
    // Bind mounts hide the machine's files. Without a user for dhcpcd it stays root, the only user in a lab
    // that an unprivileged user started.
    for (file, contents) in [("resolv.conf", ""), ("passwd", "root:x:0:0::/:/bin/sh\n")] {
        host.write(format!("/run/{file}"), contents, 0o644)?;
        host.shell(&format!("mount --bind /run/{file} /etc/{file}"))?;
    }
    let mut command = Command::new("dhcpcd");
    command.args(["--nobackground", "--config", "/run/dhcpcd.conf"]);
    let client = host.spawn(command)?;
    client.wait_for_line(|line| line.contains("starting"), SOON)?;
    Ok(client)
}
