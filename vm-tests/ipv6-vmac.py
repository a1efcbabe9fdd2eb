# Both families with virtual MAC addresses: a take-over changes no neighbour entry.

# Each virtual address, the interface that carries it, and the MAC address of that interface.
VIRTUAL = {
    "192.168.224.100": ("vrrp4.51.eth1", "00:00:5e:00:01:33"),
    "2001:db8:224::100": ("vrrp6.51.eth1", "00:00:5e:00:02:33"),
}
PAGES = ["192.168.224.100", "[2001:db8:224::100]"]
# Three intervals of a second, and the skew of priority 99: (256 - 99) / 256 s.
MASTER_IS_SILENT = 3.62
SKEW = 0.62

hosts = [master, backup]


def held(node):
    """Virtual addresses of a host, each with the interface and its MAC address."""
    links = json.loads(node.succeed("ip -json address show"))
    return {
        each["local"]: (link["ifname"], link["address"])
        for link in links
        for each in link.get("addr_info", [])
        if each.get("local") in VIRTUAL
    }


def assert_served_by(holder, others):
    """Checks that one host has both addresses on their interfaces and serves the client."""
    for node in [holder, *others]:
        expected = VIRTUAL if node is holder else {}
        found = held(node)
        assert found == expected, f"{node.name} has {found}, not {expected}"
    for address in PAGES:
        assert page(client, address) == holder.name
    for address, (_, mac) in VIRTUAL.items():
        entries = json.loads(client.succeed(f"ip -json neighbour show to {address} dev eth1"))
        found = [entry.get("lladdr") for entry in entries]
        assert found == [mac], f"the client knows {address} at {found}, not at {mac}"


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    host.wait_for_unit("httpd.service")
client.wait_for_unit("multi-user.target")
wait_for_state(master, "master")
wait_for_state(backup, "backup")

with subtest("the master serves both families, from the virtual MAC addresses"):
    assert_served_by(master, [backup])
    start_probe(client, PAGES)

with subtest("the interfaces are deleted: they are created again, no change of master"):
    before = transitions(backup)
    for interface, _ in VIRTUAL.values():
        master.succeed(f"ip link del {interface}")
    for address, (interface, _) in VIRTUAL.items():
        wait_for_address(master, address, interface)
    for address in PAGES:
        client.wait_until_succeeds(f"curl --silent --fail --max-time 1 http://{address}/")
    assert_served_by(master, [backup])
    assert transitions(backup) == before
    forget_gaps(client)

with subtest("the master loses its power: the backup serves, no neighbour entry changes"):
    master.crash()
    wait_for_state(backup, "master")
    assert_gap(client, MASTER_IS_SILENT, "loss of power")
    assert_served_by(backup, [])

with subtest("the master is back: it serves again, no neighbour entry changes"):
    master.start()
    master.wait_for_unit("httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_gap(client, 0, "failback")
    assert_served_by(master, [backup])

with subtest("the daemon is stopped: hand-over, and its interfaces are deleted"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    assert_gap(client, SKEW, "stop of the daemon")
    assert_served_by(backup, [master])
    left = master.succeed("ip -brief link show type macvlan")
    assert left == "", f"left behind: {left}"
    # The settings of the parent interface are restored.
    for setting in ["arp_ignore", "arp_announce"]:
        assert master.succeed(f"cat /proc/sys/net/ipv4/conf/eth1/{setting}").strip() == "0"
