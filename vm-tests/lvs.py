# Two directors of LVS: the backup knows of the connections, and they go on after a take-over.

VIP = "192.168.224.100"
SERVER = "192.168.224.20"

hosts = [master, backup]


def direct(node):
    """Has a director forward what is for the address to the server, which answers by itself."""
    node.succeed(
        f"ipvsadm --add-service --tcp-service {VIP}:80 --scheduler rr",
        f"ipvsadm --add-server --tcp-service {VIP}:80 --real-server {SERVER}:80 --gatewaying",
    )


def start_download():
    """A connection that outlives all that is asked of it: 20 minutes. What goes to the server in it are
    acknowledgements alone."""
    client.succeed(
        "rm --force /tmp/large /tmp/ended",
        'systemd-run --unit=download --collect --setenv=PATH="$PATH" "$(command -v bash)" -c '
        f"'curl --silent --show-error --fail --limit-rate 50K --output /tmp/large http://{VIP}/large; "
        "echo $? > /tmp/ended'",
    )
    client.wait_until_succeeds("test -s /tmp/large", timeout=seconds(120))


def wait_for_connection(node):
    """Until a director knows the client's connection."""
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
    """It goes on, what has come is what the server has, and that is enough of it."""
    assert_download_goes_on()
    seen = received()
    prefix = f"head --bytes={seen} {{}} | sha256sum"
    assert client.succeed(prefix.format("/tmp/large")) == server.succeed(
        prefix.format("/etc/www/large")
    )
    client.succeed("systemctl stop download.service")


def wait_for_status_of_lvs(node, what):
    """Until the status says of the thread what jq finds true."""
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
    # It has the address and does not say so.
    "sysctl --write net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
    f"ip address add {VIP}/32 dev lo",
)
client.wait_for_unit("multi-user.target")
wait_for_state(master, "master")
wait_for_state(backup, "backup")

with subtest("the kernel tells of connections where the instance is master, and hears elsewhere"):
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")
    for host in hosts:
        said = host.succeed("ipvsadm --list --daemon")
        assert "mcast=eth2" in said and "syncid=51" in said, said
        wait_for_status_of_lvs(host, ".error == null")

with subtest("the backup knows of a connection through the master"):
    start_download()
    wait_for_connection(master)
    wait_for_connection(backup)

with subtest("somebody stops the thread on either host: it is started again"):
    for host, role in [(master, "master"), (backup, "backup")]:
        host.succeed(f"ipvsadm --stop-daemon {role}")
        wait_for_sync_threads(host, role)
        wait_for_status_of_lvs(host, ".repairs == 1")
        wait_for_log(host, "somebody stopped or changed the sync thread of IPVS: start")

with subtest(
    "the daemon is stopped: its thread goes, and the connection goes on by the other host"
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

with subtest("the daemon is killed: nothing of it is left, and it begins anew"):
    before = master.succeed("systemctl show --property=NRestarts --value vrrp.service").strip()
    master.succeed("systemctl kill --signal=KILL vrrp.service")
    master.wait_until_succeeds(
        f'test "$(systemctl show --property=NRestarts --value vrrp.service)" -gt {before}',
        timeout=seconds(60),
    )
    wait_for_log(master, "stop the sync thread of IPVS that is master")
    wait_for_state(master, "master")
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")

with subtest("the master loses its power: the connection goes on by the other host"):
    start_download()
    wait_for_connection(backup)
    assert_download_goes_on()
    master.crash()
    wait_for_state(backup, "master")
    wait_for_sync_threads(backup, "master")
    assert_download_was_never_cut()

with subtest("a host without IPVS is told what to do, serves, and has it when it is there"):
    backup.succeed(
        "systemctl stop vrrp.service",
        "ipvsadm --clear",
        "modprobe --remove ip_vs_rr ip_vs",
        # The kernel would load it when it is asked for.
        "mkdir --parents /run/modprobe.d && echo blacklist ip_vs > /run/modprobe.d/vrrp.conf",
        "systemctl start vrrp.service",
    )
    wait_for_state(backup, "master")
    wait_for_log(backup, "this kernel has no IPVS: load it by `modprobe ip_vs`")
    wait_for_status_of_lvs(backup, '.error | contains("modprobe ip_vs")')
    assert_only_holder(backup, [backup], VIP)
    backup.succeed("modprobe ip_vs")
    wait_for_sync_threads(backup, "master")
    wait_for_status_of_lvs(backup, ".error == null")
