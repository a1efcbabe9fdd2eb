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

with subtest("closed firewalls: no advertisement is received, and each host is master"):
    for host in closed:
        wait_for_state(host, "master")
        assert instance(host)["counters"]["advertsReceived"] == 0
        assert VIP in addresses(host)

with subtest("an open firewall stays open after a reload"):
    backup.succeed("systemctl reload firewall.service")
    heard = instance(backup)["counters"]["advertsReceived"]
    backup.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f"'.instances[0].counters.advertsReceived > {heard + 2}'",
        timeout=seconds(60),
    )
    assert instance(backup)["state"] == "backup"
