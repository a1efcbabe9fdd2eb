# A web server moves with the address; and one that runs on both hosts is watched, by systemd's word and by its page.

VIP = "192.168.224.100"
# (256 - 100) / 256 s: how long a backup waits after the master has resigned.
SKEW = 0.61
TARGET = "vrrp-master@VI_1.target"

hosts = [master, backup]


def is_active(node, unit):
    return node.execute(f"systemctl is-active --quiet {unit}")[0] == 0


def time_of_start(node, unit):
    """How many seconds systemd took to start a unit the last time."""
    began, ended = (
        int(node.succeed(f"systemctl show --value --property={when}TimestampMonotonic {unit}"))
        for when in ["InactiveExit", "ActiveEnter"]
    )
    return (ended - began) / 1_000_000


def assert_gave_way(node, what):
    """Its instance gave way within a second of the signal to its server, by the clock of its host."""
    lines = node.succeed(
        "journalctl --output=short-unix --unit=httpd.service --unit=vrrp.service --lines=100"
    ).splitlines()
    signal, gave_way = (
        max(float(line.split()[0]) for line in lines if text in line)
        for text in ["Sent signal", "VI_1: master -> fault"]
    )
    figures = f"{what}: gave way after {gave_way - signal:.3f} s"
    print(figures)
    assert 0 <= gave_way - signal <= 1, figures


def wait_for_server(holder, other):
    """The server runs where the address is, and nowhere else."""
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
    """It ends, and can be started no more."""
    node.succeed(
        "mkdir -p /run/systemd/system/httpd.service.d && "
        'printf "[Service]\\nRestart=no\\nExecStartPre=$(command -v false)\\n" '
        "> /run/systemd/system/httpd.service.d/broken.conf && "
        "systemctl daemon-reload && systemctl kill --signal=SIGKILL httpd.service"
    )


def mend_server(node):
    node.succeed(
        "rm /run/systemd/system/httpd.service.d/broken.conf && systemctl daemon-reload && "
        "systemctl reset-failed httpd.service"
    )


def configure(node, change):
    """Changes the configuration by a filter of jq, and has it read again."""
    node.succeed(
        f"jq '{change}' /etc/vrrpd/config.json > /tmp/config.json && rm /etc/vrrpd/config.json && "
        "install -m 644 /tmp/config.json /etc/vrrpd/config.json && systemctl reload vrrp.service"
    )


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")

with subtest("the server runs where the address is, although it was started at boot on both"):
    wait_for_server(master, backup)
    wait_for_state(backup, "backup")
    start_probe(client)
    assert instance(master)["resources"]["units"][1]["state"] == "started"

with subtest("the daemon is stopped: the server is stopped, and then the other one begins"):
    master.succeed("systemctl stop vrrp.service")
    # Whoever waits for the end of that finds it stopped.
    assert not is_active(master, "httpd.service")
    wait_for_server(backup, master)
    master.succeed("systemctl start vrrp.service")
    wait_for_server(master, backup)

with subtest("the daemon dies: what it leaves running is stopped before anything else"):
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

with subtest("the server of the master is broken: the host gives way within a second"):
    forget_gaps(client)
    break_server(master)
    wait_for_server(backup, master)
    assert_gave_way(master, "broken server")
    # The other one begins with the start of its server, which takes what it takes.
    assert_gap(client, 1 + SKEW + time_of_start(backup, "httpd.service"), "broken server")
    assert instance(master)["state"] == "fault"
    assert "httpd.service" in instance(master)["cause"]

with subtest("it is mended: after a while the host is master again"):
    mend_server(master)
    wait_for_server(master, backup)

with subtest("a tracker of the unit: both run it, and who has none gives way within a second"):
    for host in [backup, master]:
        configure(host, 'del(.instances.VI_1.resources) | .instances.VI_1.track = ["web"]')
        host.succeed("systemctl start httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    forget_gaps(client)
    break_server(master)
    wait_for_state(backup, "master")
    assert_gave_way(master, "broken server, watched")
    assert_gap(client, 1 + SKEW, "broken server, watched")
    assert instance(master)["cause"] == "tracker web is down"
    assert page(client) == "backup"

with subtest("it is started again by hand: the host is master again"):
    mend_server(master)
    master.succeed("systemctl start httpd.service")
    wait_for_state(master, "master")
    assert page(client) == "master"

with subtest("the tracker starts it again: nobody gives way"):
    configure(master, ".trackers.web.unit.restart = true")
    before = transitions(backup)
    # So many starts in a minute are more than systemd allows.
    master.succeed("systemctl reset-failed httpd.service")
    for signal in ["KILL", "TERM"]:
        master.succeed(f"systemctl kill --signal={signal} httpd.service")
        master.wait_until_succeeds(
            "vrrpd status --json | jq --exit-status "
            '\'.trackers[] | select(.name == "web") | .detail | contains("again")\'',
            timeout=seconds(60),
        )
        master.wait_until_succeeds("systemctl is-active httpd.service", timeout=seconds(60))
    assert transitions(backup) == before
    assert_only_holder(master, hosts, VIP)

with subtest(
    "its page is asked for: a server that runs and does not answer gives way within a second"
):
    for host in [backup, master]:
        configure(host, '.instances.VI_1.track = ["page"]')
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    forget_gaps(client)
    master.succeed("systemctl kill --signal=STOP httpd.service")
    wait_for_state(backup, "master")
    assert_gave_way(master, "server that does not answer")
    assert_gap(client, 1 + SKEW, "server that does not answer")
    assert is_active(master, "httpd.service")
    assert instance(master)["cause"] == "tracker page is down"
    assert page(client) == "backup"

with subtest("it answers again: the host is master again"):
    master.succeed("systemctl kill --signal=CONT httpd.service")
    wait_for_state(master, "master")
    assert page(client) == "master"

with subtest("a server that is broken is noticed by its page, too"):
    configure(master, "del(.trackers.web)")
    forget_gaps(client)
    break_server(master)
    wait_for_state(backup, "master")
    assert_gave_way(master, "broken server, asked for its page")
    assert_gap(client, 1 + SKEW, "broken server, asked for its page")
    assert instance(master)["cause"] == "tracker page is down"
