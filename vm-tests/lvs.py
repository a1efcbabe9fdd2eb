# Two LVS directors: the backup has the connections, and they survive a take-over.

VIP = "192.168.224.100"
SERVER = "192.168.224.20"

hosts = [master, backup]


def direct(node):
    """Configures a director to forward the address to the server (direct routing)."""
    node.succeed(
        f"ipvsadm --add-service --tcp-service {VIP}:80 --scheduler rr",
        f"ipvsadm --add-server --tcp-service {VIP}:80 --real-server {SERVER}:80 --gatewaying",
    )


def start_download():
    """Starts a download of about 20 minutes, longer than the test. The client then sends nothing but
    acknowledgements."""
    client.succeed(
        "rm --force /tmp/large /tmp/ended",
        'systemd-run --unit=download --collect --setenv=PATH="$PATH" "$(command -v bash)" -c '
        f"'curl --silent --show-error --fail --limit-rate 50K --output /tmp/large http://{VIP}/large; "
        "echo $? > /tmp/ended'",
    )
    client.wait_until_succeeds("test -s /tmp/large", timeout=seconds(120))


def wait_for_connection(node):
    """Waits until a director has the client's connection in its table."""
    end = client.succeed(
        f"ss --no-header --numeric --tcp state established dst {VIP} | awk '{{ print $3 }}'"
    ).strip()
    node.wait_until_succeeds(
        "ipvsadm --list --connection --numeric | "
        f"grep --fixed-strings --word-regexp {end} | grep --word-regexp ESTABLISHED",
        timeout=seconds(120),
    )


def received():
    return int(client.succeed("stat --format=%s /tmp/large"))


def assert_download_goes_on():
    seen = received()
    client.wait_until_succeeds(
        f'test -e /tmp/ended || test "$(stat --format=%s /tmp/large)" -gt {seen}',
        timeout=seconds(120),
    )
    client.fail("test -e /tmp/ended")


def assert_download_was_never_cut():
    """Checks that the download continues, and that the received bytes equal those of the server."""
    assert_download_goes_on()
    seen = received()
    prefix = f"head --bytes={seen} {{}} | sha256sum"
    assert client.succeed(prefix.format("/tmp/large")) == server.succeed(
        prefix.format("/etc/www/large")
    )
    client.succeed("systemctl stop download.service")


def wait_for_status_of_lvs(node, what):
    """Waits until the jq filter `what` is true for the lvs status of the first instance."""
    node.wait_until_succeeds(
        f"vrrpd status --json | jq --exit-status '.instances[0].lvs | {what}'", timeout=seconds(120)
    )


def wait_for_log(node, text):
    node.wait_until_succeeds(
        f"journalctl --unit=vrrp --no-pager | grep --fixed-strings '{text}'", timeout=seconds(120)
    )


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    direct(host)
server.wait_for_unit("httpd.service")
server.succeed(
    "head --bytes=64M /dev/urandom > /etc/www/large",
    # The server has the address and does not answer ARP for it.
    "sysctl --write net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
    f"ip address add {VIP}/32 dev lo",
)
client.wait_for_unit("multi-user.target")
wait_for_state(master, "master")
wait_for_state(backup, "backup")

with subtest("the sync daemon sends where the instance is master, and receives on the backup"):
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")
    for host in hosts:
        said = host.succeed("ipvsadm --list --daemon")
        assert "mcast=eth2" in said and "syncid=51" in said, said
        wait_for_status_of_lvs(host, ".error == null")

with subtest("the backup has a connection that goes through the master"):
    start_download()
    wait_for_connection(master)
    wait_for_connection(backup)

with subtest("the sync daemon is stopped by hand on each host: it is started again"):
    for host, role in [(master, "master"), (backup, "backup")]:
        host.succeed(f"ipvsadm --stop-daemon {role}")
        wait_for_sync_threads(host, role)
        wait_for_status_of_lvs(host, ".repairs == 1")
        wait_for_log(host, "another program stopped or changed the IPVS sync daemon: start")

with subtest(
    "vrrpd is stopped: its sync daemon stops, and the connection continues by the other host"
):
    assert_download_goes_on()
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    wait_for_sync_threads(master, "")
    wait_for_sync_threads(backup, "master")
    assert_download_goes_on()
    master.succeed("systemctl start vrrp.service")
    wait_for_state(master, "master")
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")
    assert_download_was_never_cut()

with subtest("vrrpd is killed: cleanup stops its sync daemon, and vrrpd starts again"):
    before = master.succeed("systemctl show --property=NRestarts --value vrrp.service").strip()
    master.succeed("systemctl kill --signal=KILL vrrp.service")
    master.wait_until_succeeds(
        f'test "$(systemctl show --property=NRestarts --value vrrp.service)" -gt {before}',
        timeout=seconds(60),
    )
    wait_for_log(master, "stop the IPVS sync daemon of role master")
    wait_for_state(master, "master")
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")

with subtest("the master loses its power: the connection continues by the other host"):
    start_download()
    wait_for_connection(backup)
    assert_download_goes_on()
    master.crash()
    wait_for_state(backup, "master")
    wait_for_sync_threads(backup, "master")
    assert_download_was_never_cut()

with subtest("without IPVS the log has the remedy, the host serves, and IPVS is used once loaded"):
    backup.succeed(
        "systemctl stop vrrp.service",
        "ipvsadm --clear",
        "modprobe --remove ip_vs_rr ip_vs",
        # The kernel would load the module at the first request.
        "mkdir --parents /run/modprobe.d && echo blacklist ip_vs > /run/modprobe.d/vrrp.conf",
        "systemctl start vrrp.service",
    )
    wait_for_state(backup, "master")
    wait_for_log(backup, "this kernel has no IPVS: run `modprobe ip_vs`")
    wait_for_status_of_lvs(backup, '.error | contains("modprobe ip_vs")')
    assert_only_holder(backup, [backup], VIP)
    backup.succeed("modprobe ip_vs")
    wait_for_sync_threads(backup, "master")
    wait_for_status_of_lvs(backup, ".error == null")
