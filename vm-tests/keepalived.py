# vrrpd (host master) and keepalived (host backup), in both versions of the protocol.

OURS = {"v2_ours": "192.168.224.151", "v3_ours": "192.168.224.153"}
THEIRS = {"v2_theirs": "192.168.224.152", "v3_theirs": "192.168.224.154"}

hosts = [master, backup]


def wait_for_preferred_holders():
    for name, address in OURS.items():
        wait_for_state(master, "master", name)
        assert_only_holder(master, hosts, address)
    for name, address in THEIRS.items():
        wait_for_state(master, "backup", name)
        wait_for_address(backup, address)
        assert_only_holder(backup, hosts, address)


start_all()
master.wait_for_unit("vrrp.service")
backup.wait_for_unit("keepalived.service")

with subtest("priorities decide between the daemon and keepalived"):
    wait_for_preferred_holders()

with subtest("vrrpd accepts every packet of keepalived"):
    for name in [*OURS, *THEIRS]:
        dropped = instance(master, name)["counters"]["dropped"]
        # Packets that arrived before the instance ran are no fault of keepalived.
        del dropped["notListening"]
        assert not any(dropped.values()), f"{name} dropped packets: {dropped}"

with subtest("keepalived is stopped: the daemon takes over, and hands back"):
    backup.succeed("systemctl stop keepalived.service")
    for name, address in THEIRS.items():
        wait_for_state(master, "master", name)
        assert_only_holder(master, hosts, address)
    backup.succeed("systemctl start keepalived.service")
    wait_for_preferred_holders()

with subtest("the daemon is stopped: keepalived takes over, and hands back"):
    master.succeed("systemctl stop vrrp.service")
    for address in OURS.values():
        wait_for_address(backup, address)
        assert_only_holder(backup, hosts, address)
    master.succeed("systemctl start vrrp.service")
    wait_for_preferred_holders()

with subtest("the daemon's host loses its power: keepalived takes over, and hands back"):
    master.crash()
    for address in OURS.values():
        wait_for_address(backup, address)
    master.start()
    master.wait_for_unit("vrrp.service")
    wait_for_preferred_holders()

with subtest("keepalived's host loses its power: the daemon takes over, and hands back"):
    backup.crash()
    for name in THEIRS:
        wait_for_state(master, "master", name)
    backup.start()
    backup.wait_for_unit("keepalived.service")
    wait_for_preferred_holders()
