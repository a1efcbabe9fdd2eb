# The interface becomes a member of a VRF, where the instance serves, and a port of a bond: fault.

hosts = [master, backup]


def assert_served_by(holder):
    wait_for_state(holder, "master")
    for host in hosts:
        if host is not holder:
            wait_for_state(host, "backup")
    assert_only_holder(holder, hosts, VIRTUAL_ADDRESS)
    assert page(client) == holder.name


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    host.wait_for_unit("httpd.service")
    # NixOS sets this by its configuration; other guests need it here.
    host.succeed("sysctl --write net.ipv4.tcp_l3mdev_accept=1")
client.wait_for_unit("multi-user.target")
assert_served_by(master)

with subtest("the interfaces become members of a VRF: the master serves there"):
    for host in hosts:
        host.succeed("ip link add blue type vrf table 100 && ip link set blue up")
        host.succeed("ip link set eth1 master blue")
    assert_served_by(master)

with subtest("the address is deleted in the VRF: it is added again, no change of master"):
    before = transitions(backup)
    master.succeed(f"ip address del {VIRTUAL_ADDRESS}/24 dev eth1")
    wait_for_address(master, VIRTUAL_ADDRESS)
    assert transitions(backup) == before
    assert_served_by(master)

with subtest("the daemon stops in the VRF and starts again: hand-over and failback"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    assert page(client) == "backup"
    assert VIRTUAL_ADDRESS not in addresses(master)
    master.succeed("systemctl start vrrp.service")
    assert_served_by(master)

with subtest("the interfaces leave the VRF: the master serves as before"):
    for host in hosts:
        host.succeed("ip link set eth1 nomaster")
    assert_served_by(master)

with subtest("the interface becomes a port of a bond: fault with that reason, the backup serves"):
    master.succeed("ip link add bond0 type bond mode active-backup")
    master.succeed("ip link set eth1 down && ip link set eth1 master bond0")
    master.succeed("ip link set bond0 up")
    wait_for_state(backup, "master")
    wait_for_state(master, "fault")
    master.wait_until_succeeds("vrrpd status | grep 'eth1 is a port of bond0'", timeout=seconds(60))
    assert page(client) == "backup"

with subtest("it leaves the bond: the master serves again"):
    master.succeed("ip link set eth1 nomaster && ip link set eth1 up")
    wait_for_address(master, "192.168.224.11")
    assert_served_by(master)
