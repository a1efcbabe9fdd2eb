# Open firewalls of both kinds accept advertisements, closed ones drop them.

VIP = "192.168.224.100"

opened = [master, backup]
closed = [closed_nftables, closed_iptables]

start_all()
for host in [*opened, *closed]:
    host.wait_for_unit("vrrp.service")

with subtest("each host runs the configured firewall"):
    for host in [master, closed_nftables]:
        host.wait_for_unit("nftables.service")
    for host in [backup, closed_iptables]:
        host.wait_for_unit("firewall.service")

with subtest("open firewalls: the hosts receive each other, and one is master"):
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_only_holder(master, opened, VIP)
    assert instance(backup)["master"]["address"] == "192.168.224.11"

with subtest("... also in the other direction"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    master.succeed("systemctl start vrrp.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")

# A closed host that was the first to start is master and receives nothing to which it would yield.
for host in closed:
    host.succeed("systemctl stop vrrp.service")

with subtest("closed firewalls: no advertisement is received, and no host takes over"):
    for host in closed:
        host.succeed("systemctl start vrrp.service")
        host.wait_until_succeeds(
            "vrrpd status --json | jq --exit-status "
            "'.instances[0].withheld.source == \"192.168.224.11\"'",
            timeout=seconds(60),
        )
        assert instance(host)["state"] == "backup"
        assert instance(host)["counters"]["advertsReceived"] == 0
        assert VIP not in addresses(host)
    assert_only_holder(master, [*opened, *closed], VIP)

with subtest("an open firewall stays open after a reload"):
    backup.succeed("systemctl reload firewall.service")
    heard = instance(backup)["counters"]["advertsReceived"]
    backup.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f"'.instances[0].counters.advertsReceived > {heard + 2}'",
        timeout=seconds(60),
    )
    assert instance(backup)["state"] == "backup"
