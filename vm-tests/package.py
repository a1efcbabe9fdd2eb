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
    for setting in ["ProtectSystem=strict", "NoNewPrivileges=yes", "MemoryDenyWriteExecute=yes"]:
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

with subtest("a new version restarts the daemon, and the host is master again"):
    before = one.succeed("systemctl show --property=MainPID --value vrrp").strip()
    one.succeed(f"dpkg --install {PACKAGE}")
    after = one.succeed("systemctl show --property=MainPID --value vrrp").strip()
    assert after not in ("0", before), after
    wait_for_state(one, "master")
    assert_only_holder(one, hosts, ADDRESS)

with subtest("removal hands over, and keeps the configuration"):
    one.succeed("dpkg --remove vrrpd")
    wait_for_state(two, "master")
    assert_only_holder(two, hosts, ADDRESS)
    one.succeed(f"test -e {CONFIGURATION}")

with subtest("purge leaves nothing but the user"):
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
