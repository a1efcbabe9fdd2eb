# Rights of the daemon and its scripts, and protection of the password.

SECRET = "tOpSeCrT"

start_all()
master.wait_for_unit("multi-user.target")
master.succeed("install --mode=0400 /dev/null /var/lib/vrrp-password")
master.succeed(f"printf %s {SECRET} > /var/lib/vrrp-password")
master.succeed("systemctl start vrrp.service")
wait_for_state(master, "master")

with subtest("systemd-analyze rates the exposure of the unit low"):
    # The rating is 2.0 of 10; 2.5 leaves room for checks of later releases.
    master.succeed("systemd-analyze security --no-pager --threshold=25 vrrp.service")

with subtest("the daemon is not root and has two capabilities"):
    pid = master.succeed("systemctl show --property=MainPID --value vrrp.service").strip()
    fields = dict(
        line.split(":\t", 1)
        for line in master.succeed(f"cat /proc/{pid}/status").splitlines()
        if ":\t" in line
    )
    user = master.succeed("id --user vrrp").strip()
    assert fields["Uid"].split() == [user] * 4, fields["Uid"]
    net_admin, net_raw = 1 << 12, 1 << 13
    assert int(fields["CapEff"], 16) == net_admin | net_raw, fields["CapEff"]
    assert int(fields["CapBnd"], 16) == net_admin | net_raw, fields["CapBnd"]
    assert int(fields["CapAmb"], 16) == 0, fields["CapAmb"]
    assert fields["NoNewPrivs"] == "1"

with subtest("the daemon has given up the right to start a program"):
    # It warns if the kernel or the unit's own filter does not permit its filter.
    master.succeed("journalctl --unit=vrrp --grep='vrrpd .* started: '")
    master.fail("journalctl --unit=vrrp --grep='cannot install a filter of system calls'")

with subtest("its scripts run as another user, without capabilities"):
    master.wait_until_succeeds("test -s /run/vrrp-scripts/rights", timeout=seconds(60))
    fields = dict(
        line.split(":\t", 1)
        for line in master.succeed("cat /run/vrrp-scripts/rights").splitlines()
        if ":\t" in line
    )
    scripts_user = master.succeed("id --user vrrp-scripts").strip()
    assert scripts_user != user
    assert fields["Uid"].split() == [scripts_user] * 4, fields["Uid"]
    for kind in ["CapPrm", "CapEff", "CapBnd", "CapAmb"]:
        assert int(fields[kind], 16) == 0, f"{kind} {fields[kind]}"
    master.succeed("systemd-analyze security --no-pager --threshold=25 vrrp-scripts.service")

with subtest("a script has no power over the daemon"):
    credential = "/run/credentials/vrrp.service/VI_1.password"
    for attempt in [
        f"kill -STOP {pid}",
        f"prlimit --pid {pid} --nofile=5:5",
        f"cat {credential}",
        f"cat /proc/{pid}/environ",
        "rm /run/vrrpd/control.sock",
        "rm /run/vrrp-scripts.sock",
        "vrrpd drain",
        "curl --unix-socket /run/vrrp-scripts.sock http://localhost/",
    ]:
        master.fail(f"runuser -u vrrp-scripts -- {attempt}")
    master.succeed("runuser -u vrrp-scripts -- vrrpd status")
    assert instance(master)["state"] == "master"

with subtest("a dead script runner is replaced, and no verdict is lost"):
    before = master.succeed("systemctl show --property=MainPID --value vrrp-scripts").strip()
    master.succeed(f"kill -KILL {before}")
    master.wait_until_succeeds(
        f"pid=$(systemctl show --property=MainPID --value vrrp-scripts); test $pid != 0 && test $pid != {before}",
        timeout=seconds(60),
    )
    master.succeed("rm /run/vrrp-scripts/rights || true")
    master.wait_until_succeeds("test -s /run/vrrp-scripts/rights", timeout=seconds(60))
    assert transitions(master) == 1

with subtest("only the main thread has a realtime class"):
    threads = master.succeed(f"ps -L -o lwp=,cls= -p {pid}").split()
    classes = dict(zip(threads[::2], threads[1::2], strict=True))
    assert classes.pop(pid) == "FF"
    assert set(classes.values()) == {"TS"}, classes

with subtest("the password is in no configuration, and other users cannot read it"):
    config = json.loads(master.succeed("cat /etc/vrrpd/config.json"))
    authentication = config["instances"]["VI_1"]["authentication"]
    assert authentication == {"pass": {"passwordFile": "VI_1.password"}}, authentication
    assert SECRET not in master.succeed("systemctl cat vrrp.service")
    assert master.succeed(f"runuser -u vrrp -- cat {credential}") == SECRET
    master.fail(f"runuser -u nobody -- cat {credential}")
    assert SECRET not in master.succeed("vrrpd status --json")

with subtest("scripts may start and restart the units in mayManage"):
    for verb in ["start", "restart"]:
        master.succeed(
            f"runuser -u vrrp-scripts -- systemctl --no-ask-password {verb} managed.service"
        )
    master.succeed("systemctl is-active managed.service")

with subtest("... and nothing else"):
    for user, command in [
        ("vrrp-scripts", "stop managed.service"),
        ("vrrp-scripts", "start foreign.service"),
        ("vrrp-scripts", "daemon-reload"),
        ("vrrp", "restart managed.service"),
        ("nobody", "restart managed.service"),
    ]:
        master.fail(f"runuser -u {user} -- systemctl --no-ask-password {command}")

with subtest("every user may read the status"):
    master.succeed("runuser -u nobody -- vrrpd status")
