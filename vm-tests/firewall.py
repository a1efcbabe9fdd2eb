# Advertisements pass both firewalls when they are open, and none when they are closed.

VIP = "192.168.224.100"

opened = [master, backup]
closed = [closed_nftables, closed_iptables]

start_all()
for host in [*opened, *closed]:
    host.wait_for_unit("vrrp.service")

with subtest("the firewalls are those that are meant"):
    for host in [master, closed_nftables]:
        host.wait_for_unit("nftables.service")
    for host in [backup, closed_iptables]:
        host.wait_for_unit("firewall.service")

with subtest("through open firewalls hosts hear each other: there is one master"):
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_only_holder(master, opened, VIP)
    assert instance(backup)["master"]["address"] == "192.168.224.11"

with subtest("... and the other way round"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    master.succeed("systemctl start vrrp.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")

with subtest("behind closed firewalls nobody is heard: each is its own master"):
    for host in closed:
        wait_for_state(host, "master")
        assert instance(host)["counters"]["advertsReceived"] == 0
        assert VIP in addresses(host)

with subtest("a firewall that is reloaded stays open"):
    backup.succeed("systemctl reload firewall.service")
    heard = instance(backup)["counters"]["advertsReceived"]
    backup.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f"'.instances[0].counters.advertsReceived > {heard + 2}'",
        timeout=seconds(60),
    )
    assert instance(backup)["state"] == "backup"
