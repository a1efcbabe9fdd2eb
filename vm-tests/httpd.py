# Experiment 1 and its five tests.

VIP = "192.168.224.100"
# Three intervals of a second, and the skew of priority 99: (256 - 99) / 256 s.
MASTER_IS_SILENT = 3.62
SKEW = 0.62

hosts = [master, backup]

start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
    host.wait_for_unit("httpd.service")
wait_for_state(master, "master")
wait_for_state(backup, "backup")

with subtest("the master holds the address, and the client is served by it"):
    assert_only_holder(master, hosts, VIP)
    assert page(client) == "master"
    start_probe(client)

with subtest("the IPVS sync daemon has the role of the instance, as in the course with keepalived"):
    for host, role in [(master, "master"), (backup, "backup")]:
        wait_for_sync_threads(host, role)
        said = host.succeed("ipvsadm --list --daemon")
        assert f"{role} sync daemon (mcast=eth1, syncid=51" in said, said

with subtest("a stopped httpd is started again on the master, without a change of master"):
    before = transitions(backup)
    invocation = "systemctl show --property InvocationID --value httpd.service"
    stopped = master.succeed(invocation).strip()
    # It fails if the check starts httpd again before the stop has ended: its job is cancelled.
    master.execute("systemctl stop httpd.service")
    master.wait_until_succeeds(
        f'test "$({invocation})" != {stopped} && systemctl is-active httpd.service',
        timeout=seconds(60),
    )
    client.wait_until_succeeds(
        f"curl --silent --fail --max-time 1 http://{VIP}/", timeout=seconds(60)
    )
    assert page(client) == "master"
    assert transitions(backup) == before
    assert_only_holder(master, hosts, VIP)
    forget_gaps(client)

with subtest("the master loses its power: the backup serves"):
    master.crash()
    wait_for_state(backup, "master")
    client.wait_until_succeeds(
        f"curl --silent --fail --max-time 1 http://{VIP}/", timeout=seconds(60)
    )
    assert page(client) == "backup"
    assert_gap(client, MASTER_IS_SILENT, "loss of power")

with subtest("the master is back: it holds the address again"):
    master.start()
    master.wait_for_unit("httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_only_holder(master, hosts, VIP)
    assert page(client) == "master"
    assert_gap(client, 0, "failback")

with subtest("the master reboots in order: it hands over, and fails back"):
    master.shutdown()
    wait_for_state(backup, "master")
    assert page(client) == "backup"
    assert_gap(client, SKEW, "shutdown")
    master.start()
    master.wait_for_unit("httpd.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_only_holder(master, hosts, VIP)
    assert_gap(client, 0, "failback after a reboot")

with subtest("the daemon is stopped: hand-over after the skew time"):
    master.succeed("systemctl stop vrrp.service")
    wait_for_state(backup, "master")
    assert_only_holder(backup, hosts, VIP)
    assert page(client) == "backup"
    assert_gap(client, SKEW, "stop of the daemon")
    wait_for_sync_threads(master, "")
    wait_for_sync_threads(backup, "master")
    master.succeed("systemctl start vrrp.service")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert_only_holder(master, hosts, VIP)
    assert_gap(client, 0, "start of the daemon")
    wait_for_sync_threads(master, "master")
    wait_for_sync_threads(backup, "backup")

with subtest("the address is deleted by hand: it is added again, without a change of master"):
    before = transitions(backup)
    master.succeed(f"ip address del {VIP}/24 dev eth1")
    wait_for_address(master, VIP)
    assert instance(master)["counters"]["repairs"] >= 1
    assert transitions(backup) == before
    assert_only_holder(master, hosts, VIP)
    assert page(client) == "master"
    assert_gap(client, 0, "deletion by hand")
