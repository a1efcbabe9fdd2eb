# The Debian package: installed, started, updated, removed and purged. Runs on Debian guests only.

ADDRESS = "192.168.224.100"
PACKAGE = "/root/vrrpd.deb"
CONFIGURATION = "/etc/vrrpd/config.json"
EXAMPLE = "/usr/share/doc/vrrpd/examples/config.json"

hosts = [one, two]
start_all()
for host in hosts:
    host.wait_for_unit("systemd-networkd.service")
    # The image forbids packages to start services, because it is built in a chroot.
    host.succeed("rm --force /usr/sbin/policy-rc.d")

with subtest("a new package starts nothing before there is a configuration"):
    for host in hosts:
        host.succeed(f"dpkg --install {PACKAGE}")
        host.succeed("systemctl is-enabled vrrp.service")
        host.fail("systemctl is-active vrrp.service")
        host.fail(f"test -e {CONFIGURATION}")

with subtest("the example becomes a configuration, and one host master"):
    for host, priority in [(one, 150), (two, 100)]:
        host.succeed(
            f"sed 's/eth0/eth1/; s/192.0.2.100/{ADDRESS}/; s/100,/{priority},/' {EXAMPLE} > {CONFIGURATION}",
            "vrrpd check",
            "systemctl start vrrp.service",
        )
        host.wait_for_unit("vrrp.service")
    wait_for_state(one, "master")
    wait_for_state(two, "backup")
    assert_only_holder(one, hosts, ADDRESS)

with subtest("the daemon is no root, and its unit is that of the NixOS module"):
    user = one.succeed("ps -o user= -p $(systemctl show --property=MainPID --value vrrp)").strip()
    assert user == "vrrp", user
    for setting in [
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
    ]:
        name, value = setting.split("=")
        shown = one.succeed(f"systemctl show --property={name} --value vrrp").strip()
        assert shown == value, f"{name} is {shown}"

with subtest("manual, completions and licences are installed"):
    one.succeed(
        "test -s /usr/share/man/man8/vrrpd.8.gz",
        "test -s /usr/share/man/man5/vrrpd.json.5.gz",
        "test -s /usr/share/bash-completion/completions/vrrpd",
        "zcat /usr/share/doc/vrrpd/LICENCES.gz | grep --count 'Permission is hereby granted'",
        "systemctl cat vrrp-master@VI_1.target",
    )


def main_pid():
    return one.succeed("systemctl show --property=MainPID --value vrrp").strip()


def assert_no_event(what, replace):
    """Checks that after `replace` another process serves, and that nobody else could notice it."""
    before = main_pid()
    masters = [transitions(host) for host in hosts]
    ages = instance(one)["stateAge"]
    since = one.succeed("date +%s").strip()
    one.succeed(
        "rm --force /tmp/deleted",
        "systemd-run --unit=addresses --property=StandardOutput=file:/tmp/deleted "
        "ip -oneline monitor address dev eth1",
    )
    replace()
    after = main_pid()
    assert after not in ("0", before), f"{what}: process {before}, then {after}"
    wait_for_state(one, "master")
    one.succeed("systemctl stop addresses")
    assert [transitions(host) for host in hosts] == masters, what
    assert instance(one)["stateAge"] > ages, what
    assert instance(two)["state"] == "backup", what
    one.fail("grep '^Deleted' /tmp/deleted")
    one.succeed(f"journalctl --unit=vrrp --since=@{since} --grep='leaving mastership, addresses'")
    assert_only_holder(one, hosts, ADDRESS)
    # The address does not end with the lifetime that it had during the restart.
    one.succeed(
        f"ip address show dev eth1 | grep --after-context=1 {ADDRESS} | grep 'valid_lft forever'"
    )


with subtest("a script runs as its user, if the unit allows that"):
    one.succeed(
        'jq \'.trackers.who.script = { command: ["/usr/bin/id", "-un"], user: "backup" }'
        f' | .instances.VI_1.track = [{{ tracker: "who", weight: -1 }}]\' {CONFIGURATION} > /root/config.json',
        f"cp /root/config.json {CONFIGURATION}",
        "vrrpd reload",
    )
    one.wait_until_succeeds(
        "vrrpd status | grep 'does not run programs as backup: start it with --allow backup'",
        timeout=seconds(60),
    )
    one.succeed(
        "mkdir --parents /etc/systemd/system/vrrp-scripts.service.d",
        # As in docs/notify.md.
        "printf '%s\\n' '[Service]' 'ExecStart=' 'ExecStart=/usr/sbin/vrrpd scripts --allow backup'"
        " 'AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL'"
        " 'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL' 'SystemCallFilter=@setuid'"
        " > /etc/systemd/system/vrrp-scripts.service.d/users.conf",
        "systemctl daemon-reload",
        "systemctl restart vrrp-scripts.service",
    )
    one.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status '.trackers[0].detail == \"exit status: 0: backup\"'",
        timeout=seconds(60),
    )
    assert transitions(one) == 1

with subtest("a script without a user runs as the user of scripts"):
    one.succeed(
        f"jq 'del(.trackers.who.script.user)' {CONFIGURATION} > /root/config.json",
        f"cp /root/config.json {CONFIGURATION}",
        "vrrpd reload",
    )
    one.wait_until_succeeds(
        "vrrpd status --json"
        " | jq --exit-status '.trackers[0].detail == \"exit status: 0: vrrp-scripts\"'",
        timeout=seconds(60),
    )

with subtest("systemctl restart is no event: no transition, and the address stays"):
    for _ in range(3):
        assert_no_event("restart", lambda: one.succeed("systemctl restart vrrp.service"))

with subtest("a new version is no event either"):
    one.succeed(
        f"dpkg-deb --raw-extract {PACKAGE} /root/next",
        "sed --in-place 's/^Version: .*/&+next/' /root/next/DEBIAN/control",
        "dpkg-deb --build /root/next /root/next.deb",
    )
    assert_no_event("upgrade", lambda: one.succeed("dpkg --install /root/next.deb"))
    assert one.succeed("dpkg-query --show --showformat='${Version}' vrrpd").endswith("+next")

with subtest("a stop hands over, and a start is a failback"):
    one.succeed("systemctl stop vrrp.service")
    wait_for_state(two, "master")
    assert_only_holder(two, hosts, ADDRESS)
    one.succeed("systemctl start vrrp.service")
    wait_for_state(one, "master")
    assert_only_holder(one, hosts, ADDRESS)

with subtest("a new process that does not start leaves nothing behind"):
    one.succeed(
        "mkdir --parents /run/systemd/system/vrrp.service.d",
        "printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > /run/systemd/system/vrrp.service.d/broken.conf",
        "systemctl daemon-reload",
    )
    one.execute("systemctl restart vrrp.service")
    wait_for_state(two, "master")
    assert_only_holder(two, hosts, ADDRESS)
    one.succeed(
        "rm -r /run/systemd/system/vrrp.service.d",
        "systemctl daemon-reload",
        "systemctl restart vrrp.service",
    )
    wait_for_state(one, "master")
    assert_only_holder(one, hosts, ADDRESS)

with subtest("removal hands over, and keeps the configuration"):
    one.succeed("dpkg --remove vrrpd")
    wait_for_state(two, "master")
    assert_only_holder(two, hosts, ADDRESS)
    one.succeed(f"test -e {CONFIGURATION}")

with subtest("purge leaves nothing but the users"):
    # The administrator's.
    one.succeed("rm -r /etc/systemd/system/vrrp-scripts.service.d")
    one.succeed("dpkg --purge vrrpd")
    one.fail("dpkg --status vrrpd")
    left = one.succeed(
        "find / -xdev -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' "
        "-not -path '/var/lib/dpkg/*-old' \\( -name '*vrrp*' -o -path '*vrrpd*' \\)"
    )
    assert left == "", left
    one.fail("systemctl cat vrrp.service")
    assert ADDRESS not in addresses(one)
    one.fail("pgrep vrrpd")
    one.fail("test -e /run/vrrpd")
