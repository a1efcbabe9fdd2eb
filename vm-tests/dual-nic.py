# Experiment 2: one address on each of two networks.

FRONT = "192.168.224.100"
BACK = "192.168.198.100"
SERVER = "192.168.198.20"

hosts = [master, backup]

start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    host.wait_for_unit("httpd.service")
server.wait_for_unit("httpd.service")
client.wait_for_unit("multi-user.target")
# With equal priorities the host that starts first is master of the second address.
backup.succeed("systemctl restart vrrp.service")
for name in ["VI_1", "VI_2"]:
    wait_for_state(master, "master", name)
    wait_for_state(backup, "backup", name)

with subtest("the master holds both addresses and serves both networks"):
    assert_only_holder(master, hosts, FRONT, "eth1")
    assert_only_holder(master, hosts, BACK, "eth2")
    assert page(client, FRONT) == "master"
    assert page(server, BACK) == "master"

with subtest("both hosts reach the server, the client does not"):
    for host in hosts:
        assert page(host, SERVER) == "application"
    client.fail(f"curl --silent --fail --max-time 3 http://{SERVER}/")

with subtest("the master loses its power: the backup serves both networks"):
    master.crash()
    for name in ["VI_1", "VI_2"]:
        wait_for_state(backup, "master", name)
    assert page(client, FRONT) == "backup"
    assert page(server, BACK) == "backup"

with subtest("the master is back: the first address, of higher priority, fails back"):
    master.start()
    master.wait_for_unit("httpd.service")
    wait_for_state(master, "master", "VI_1")
    wait_for_state(backup, "backup", "VI_1")
    assert_only_holder(master, hosts, FRONT, "eth1")
    assert page(client, FRONT) == "master"

with subtest("... and the second address, of equal priority, stays on the backup"):
    assert instance(master, "VI_2")["state"] == "backup"
    assert_only_holder(backup, hosts, BACK, "eth2")
    assert page(server, BACK) == "backup"
