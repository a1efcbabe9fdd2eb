# A changed configuration reloads the daemon, a changed package restarts it.

# Message IDs of systemd (systemd.catalog): unit started, unit reloaded.
STARTED = "39f53479d3a045ac8e11786248231fbf"
RELOADED = "7b05ebc668384222baa8881179cfda54"

hosts = [master, backup]


def journal(message_id):
    """Number of messages of the unit with this ID since boot."""
    lines = master.succeed(
        f"journalctl --boot --output=json UNIT=vrrp.service MESSAGE_ID={message_id}"
    )
    return len([json.loads(line) for line in lines.splitlines() if line.startswith("{")])


def main_pid():
    return int(master.succeed("systemctl show --property=MainPID --value vrrp.service"))


def switch_to(specialisation):
    master.succeed(
        f"/run/booted-system/specialisation/{specialisation}/bin/switch-to-configuration test"
    )
    master.wait_for_unit("vrrp.service")


start_all()
for host in hosts:
    host.wait_for_unit("vrrp.service")
wait_for_state(master, "master")
wait_for_state(backup, "backup")
started = journal(STARTED)
pid = main_pid()

with subtest("an address is added: the daemon is reloaded, not restarted"):
    switches = transitions(master)
    reloaded = journal(RELOADED)
    switch_to("address-added")
    wait_for_address(master, "192.168.224.101")
    assert journal(RELOADED) == reloaded + 1
    assert journal(STARTED) == started
    assert main_pid() == pid
    assert transitions(master) == switches
    for address in ["192.168.224.100", "192.168.224.101"]:
        assert_only_holder(master, hosts, address)

with subtest("the priority is changed: the daemon is reloaded, not restarted"):
    switches = transitions(master)
    reloaded = journal(RELOADED)
    switch_to("priority-changed")
    assert instance(master)["priority"]["effective"] == 200
    assert journal(RELOADED) == reloaded + 1
    assert journal(STARTED) == started
    assert main_pid() == pid
    assert transitions(master) == switches
    # An address that is not in this configuration is deleted.
    assert holders(hosts, "192.168.224.101") == []
    assert_only_holder(master, hosts, "192.168.224.100")

with subtest("the package is changed: the daemon is restarted, once, without a change of master"):
    switches = [transitions(host) for host in hosts]
    switch_to("package-changed")
    wait_for_state(master, "master")
    wait_for_state(backup, "backup")
    assert journal(STARTED) == started + 1
    assert main_pid() != pid
    assert [transitions(host) for host in hosts] == switches
    assert_only_holder(master, hosts, "192.168.224.100")
