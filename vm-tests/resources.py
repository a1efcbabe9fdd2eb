# A web server as a resource of the instance; then a web server on both hosts, watched by trackers
# of its unit and of its page.

VIP = "192.168.224.100"
# Skew time of priority 100, (256 - 100) / 256 s: the wait of a backup after a resignation.
SKEW = 0.61
TARGET = "vrrp-master@VI_1.target"

hosts = [master, backup]


def is_active(node, unit):
    return node.execute(f"systemctl is-active --quiet {unit}")[0] == 0


def time_of_start(node, unit):
    """Duration in seconds of the last start of a unit."""
    began, ended = (
        int(node.succeed(f"systemctl show --value --property={when}TimestampMonotonic {unit}"))
        for when in ["InactiveExit", "ActiveEnter"]
    )
    return (ended - began) / 1_000_000


def assert_in_fault_within_a_second(node, what):
    """Checks that the fault began at most 1 s after the signal to the server (host clock)."""
    lines = node.succeed(
        "journalctl --output=short-unix --unit=httpd.service --unit=vrrp.service --lines=100"
    ).splitlines()
    signal, faulted = (
        max(float(line.split()[0]) for line in lines if text in line)
        for text in ["Sent signal", "VI_1: master -> fault"]
    )
    figures = f"{what}: fault after {faulted - signal:.3f} s"
    print(figures)
    assert 0 <= faulted - signal <= 1, figures


def wait_for_server(holder, other):
    """Waits until the server runs on the holder of the address only."""
    wait_for_state(holder, "master")
    holder.wait_until_succeeds("systemctl is-active httpd.service", timeout=seconds(60))
    other.wait_until_fails("systemctl is-active httpd.service", timeout=seconds(60))
    client.wait_until_succeeds(
        f"curl --silent --fail --max-time 1 http://{VIP}/", timeout=seconds(60)
    )
    assert page(client) == holder.name
    assert is_active(holder, TARGET)
    assert not is_active(other, TARGET)


def break_server(node):
    """Kills the server and makes further starts fail."""
    node.succeed(
        "mkdir -p /run/systemd/system/httpd.service.d && "
        'printf "[Service]\\nRestart=no\\nExecStartPre=$(command -v false)\\n" '
        "> /run/systemd/system/httpd.service.d/broken.conf && "
        "systemctl daemon-reload && systemctl kill --signal=SIGKILL httpd.service"
    )


def repair_server(node):
    node.succeed(
        "rm /run/systemd/system/httpd.service.d/broken.conf && systemctl daemon-reload && "
        "systemctl reset-failed httpd.service"
    )


def configure(node, change):
    """Changes the configuration by a jq filter and reloads the daemon."""
    node.succeed(
        f"jq '{change}' /etc/vrrpd/config.json > /tmp/config.json && rm /etc/vrrpd/config.json && "
        "install -m 644 /tmp/config.json /etc/vrrpd/config.json && systemctl reload vrrp.service"
    )


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")

with subtest("the server runs on the master only, although both hosts started it at boot"):
    wait_for_server(master, backup)
    wait_for_state(backup, "backup")
    start_probe(client)
    assert instance(master)["resources"]["units"][1]["state"] == "started"

with subtest("the daemon is stopped: its server stops before the other host starts its own"):
    master.succeed("systemctl stop vrrp.service")
    # The server is stopped when the stop of the daemon has ended.
    assert not is_active(master, "httpd.service")
    wait_for_server(backup, master)
    master.succeed("systemctl start vrrp.service")
    wait_for_server(master, backup)

with subtest("the daemon dies: cleanup stops the server that it left running"):
    master.succeed(
        "mkdir -p /run/systemd/system/vrrp.service.d && "
        'printf "[Service]\\nRestart=no\\n" > /run/systemd/system/vrrp.service.d/dead.conf && '
        "systemctl daemon-reload"
    )
    pid = master.succeed("systemctl show --property=MainPID --value vrrp.service").strip()
    master.succeed(f"kill -KILL {pid}")
    master.wait_until_succeeds("systemctl is-failed vrrp.service", timeout=seconds(60))
    assert not is_active(master, "httpd.service")
    wait_for_server(backup, master)
    master.succeed("rm /run/systemd/system/vrrp.service.d/dead.conf && systemctl daemon-reload")
    master.succeed("systemctl start vrrp.service")
    wait_for_server(master, backup)

with subtest("the server of the master is broken: the instance is in fault within a second"):
    forget_gaps(client)
    break_server(master)
    wait_for_server(backup, master)
    assert_in_fault_within_a_second(master, "broken server")
    # The other host has to start its server first.
    assert_gap(client, 1 + SKEW + time_of_start(backup, "httpd.service"), "broken server")
    assert instance(master)["state"] == "fault"
    assert "httpd.service" in instance(master)["cause"]

with subtest("the server is repaired: the host becomes master again"):
    repair_server(master)
    wait_for_server(master, backup)

with subtest("tracker of the unit: the host with a broken server is in fault within a second"):
    for host in [backup, master]:
        configure(host, 'del(.instances.VI_1.resources) | .instances.VI_1.track = ["web"]')
        host.succeed("systemctl start httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    forget_gaps(client)
    break_server(master)
    wait_for_state(backup, "master")
    assert_in_fault_within_a_second(master, "broken server, watched")
    assert_gap(client, 1 + SKEW, "broken server, watched")
    assert instance(master)["cause"] == "tracker web is down"
    assert page(client) == "backup"

with subtest("the server is started by hand: the host becomes master again"):
    repair_server(master)
    master.succeed("systemctl start httpd.service")
    wait_for_state(master, "master")
    assert page(client) == "master"

with subtest("the tracker restarts the server: no transition"):
    configure(master, ".trackers.web.unit.restart = true")
    before = transitions(backup)
    # These starts in a minute would exceed the start limit of systemd.
    master.succeed("systemctl reset-failed httpd.service")
    for count, signal in enumerate(["KILL", "TERM"], 1):
        master.succeed(f"systemctl kill --signal={signal} httpd.service")
        master.wait_until_succeeds(
            "vrrpd status --json | jq --exit-status "
            f'\'.trackers[] | select(.name == "web") | .detail | contains("restarted {count} of")\'',
            timeout=seconds(60),
        )
        master.wait_until_succeeds("systemctl is-active httpd.service", timeout=seconds(60))
    assert transitions(backup) == before
    assert_only_holder(master, hosts, VIP)

with subtest(
    "tracker of the page: a server that runs and does not answer causes a fault within a second"
):
    for host in [backup, master]:
        configure(host, '.instances.VI_1.track = ["page"]')
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    forget_gaps(client)
    master.succeed("systemctl kill --signal=STOP httpd.service")
    wait_for_state(backup, "master")
    assert_in_fault_within_a_second(master, "server that does not answer")
    assert_gap(client, 1 + SKEW, "server that does not answer")
    assert is_active(master, "httpd.service")
    assert instance(master)["cause"] == "tracker page is down"
    assert page(client) == "backup"

with subtest("the server answers again: the host becomes master again"):
    master.succeed("systemctl kill --signal=CONT httpd.service")
    wait_for_state(master, "master")
    assert page(client) == "master"

with subtest("the tracker of the page also detects a broken server"):
    configure(master, "del(.trackers.web)")
    forget_gaps(client)
    break_server(master)
    wait_for_state(backup, "master")
    assert_in_fault_within_a_second(master, "broken server, asked for its page")
    assert_gap(client, 1 + SKEW, "broken server, asked for its page")
    assert instance(master)["cause"] == "tracker page is down"
