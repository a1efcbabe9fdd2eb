# Both families behind virtual MAC addresses: no neighbour has to learn anything at a take-over.

# Each address, the interface that carries it, and the hardware address of that.
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
    """The virtual addresses that a host has, with the interface and its hardware address."""
    links = json.loads(node.succeed("ip -json address show"))
    return {
        each["local"]: (link["ifname"], link["address"])
        for link in links
        for each in link.get("addr_info", [])
        if each.get("local") in VIRTUAL
    }


def assert_served_by(holder, others):
    """One host has both addresses, where they belong, and the client reaches them there."""
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

with subtest("the interfaces are deleted by hand: they are made again, without a switch"):
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

with subtest("the master loses its power: the backup serves, and the client learns nothing"):
    master.crash()
    wait_for_state(backup, "master")
    assert_gap(client, MASTER_IS_SILENT, "loss of power")
    assert_served_by(backup, [])

with subtest("the master is back: it serves again, and the client learns nothing"):
    master.start()
    master.wait_for_unit("httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_gap(client, 0, "failback")
    assert_served_by(master, [backup])

with subtest("the daemon is stopped: a clean switch, which leaves no interface behind"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    assert_gap(client, SKEW, "stop of the daemon")
    assert_served_by(backup, [master])
    left = master.succeed("ip -brief link show type macvlan")
    assert left == "", f"left behind: {left}"
    # What the daemon changed of the interface below is as it was.
    for setting in ["arp_ignore", "arp_announce"]:
        assert master.succeed(f"cat /proc/sys/net/ipv4/conf/eth1/{setting}").strip() == "0"
