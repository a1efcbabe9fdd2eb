# Experiment 2 with both instances in a sync group: both addresses are always on the same host.

FRONT = "192.168.224.100"
BACK = "192.168.198.100"

hosts = [master, backup]


def assert_serves(holder, name):
    """Checks that one host holds both addresses, serves both networks and reports state master."""
    for instance_name in ["VI_1", "VI_2"]:
        wait_for_state(holder, "master", instance_name)
    assert_only_holder(holder, hosts, FRONT, "eth1")
    assert_only_holder(holder, hosts, BACK, "eth2")
    assert page(client, FRONT) == name
    assert page(server, BACK) == name
    assert group(holder)["state"] == "master"


def group(host):
    """Status of the only group."""
    [status] = json.loads(host.succeed("vrrpd status --json"))["groups"]
    assert (status["name"], status["members"]) == ("VG_1", ["VI_1", "VI_2"])
    return status


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    host.wait_for_unit("httpd.service")
server.wait_for_unit("httpd.service")
client.wait_for_unit("multi-user.target")

with subtest("the master holds both addresses and serves both networks"):
    assert_serves(master, "master")
    assert group(backup)["state"] == "backup"

with subtest("the master loses its power: the backup serves both networks"):
    master.crash()
    for name in ["VI_1", "VI_2"]:
        wait_for_state(backup, "master", name)
    assert page(client, FRONT) == "backup"
    assert page(server, BACK) == "backup"

with subtest("the master is back: both addresses fail back, also that of equal priority"):
    master.start()
    master.wait_for_unit("httpd.service")
    assert_serves(master, "master")
    assert instance(master, "VI_2")["cause"].startswith("with VI_1: ")

for card, member, other in [("eth2", "VI_2", "VI_1"), ("eth1", "VI_1", "VI_2")]:
    with subtest(f"the master's {card} is set down: {other} moves with {member}, and back"):
        became_master = transitions(backup, other)
        master.succeed(f"ip link set {card} down")
        assert_serves(backup, "backup")
        assert transitions(backup, other) == became_master + 1
        cause = f"interface {card} is down"
        assert instance(master, member)["cause"] == cause
        assert instance(master, other)["cause"] == f"with {member}: {cause}"
        assert group(master)["decidedBy"] == member
        master.succeed(f"ip link set {card} up")
        assert_serves(master, "master")
