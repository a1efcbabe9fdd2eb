# Two NFS servers whose export is on a DRBD device: docs/recipes/nfs.md, on Debian guests only. A
# client holds a lock and appends lines to a file throughout, and no line that was written is lost.

VIP = "192.168.224.100"
UNITS = ["drbd-primary.service", "srv-nfs.mount", "nfsdcld.service", "nfs-server.service"]
ADDRESSES = {"nfs1": "192.168.224.11", "nfs2": "192.168.224.12"}

# Appends numbered lines with the lock of the file, and waits for the server's disk after each. A lock
# that the next server does not know ends this with an error.
WRITER = """
exec 3>> /mnt/lines
flock 3
number=0
while sleep 0.1; do
  number=$((number + 1))
  echo $number >&3 && sync --data /mnt/lines || exit 1
  echo $number > /tmp/written
  echo $EPOCHREALTIME >> /tmp/answers
done
"""

hosts = [nfs1, nfs2]


def prepare(host, other):
    """The steps of the page for both hosts, before there is a file system."""
    host.succeed(
        "systemctl disable --now drbd.service nfs-server.service",
        "systemctl stop nfsdcld.service",
        "systemctl mask --now rpcbind.socket rpcbind.service rpc-statd.service"
        " rpc-statd-notify.service",
        "mkdir -p /srv/nfs",
        "drbdadm create-md r0",
        "systemctl daemon-reload",
        "systemctl enable --now drbd@r0.target",
        "mkdir -p -m 700 /root/.ssh",
        "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519",
    )
    key = host.succeed("cat /root/.ssh/id_ed25519.pub").strip()
    other.succeed(
        "mkdir -p -m 700 /root/.ssh",
        f"echo 'restrict,command=\"/usr/sbin/drbdadm outdate r0\" {key}' >> /root/.ssh/authorized_keys",
    )
    other.wait_for_unit("ssh.service")
    host.succeed(f"ssh-keyscan {ADDRESSES[other.name]} >> /root/.ssh/known_hosts")


def wait_for_disks(host, states):
    """Waits until DRBD reports these states of the host's disk and of the other disk."""
    host.wait_until_succeeds(f"grep ds:{states} /proc/drbd", timeout=seconds(120))


def wait_for_server(host, other=None):
    """Waits until the units run on one host, and on this host only."""
    wait_for_state(host, "master")
    for unit in UNITS:
        host.wait_until_succeeds(f"systemctl is-active {unit}", timeout=seconds(120))
    host.succeed("findmnt /srv/nfs", "exportfs -v | grep /srv/nfs/share")
    if other is not None:
        for unit in UNITS:
            other.wait_until_fails(f"systemctl is-active {unit}", timeout=seconds(60))
        other.fail("findmnt /srv/nfs")


def written():
    return int(client.succeed("cat /tmp/written"))


def wait_for_writes():
    """Waits until the client has written again."""
    before = written()
    client.wait_until_succeeds(f"test $(cat /tmp/written) -gt {before + 5}", timeout=seconds(180))


def cut(host, *rules):
    """Drops packets that the host sends. With packets that arrive vrrpd would know of the master."""
    host.succeed("nft add table netdev cut")
    for interface in ["eth1", "eth2"]:
        chain = f"{{ type filter hook egress device {interface} priority 0; }}"
        host.succeed(f"nft add chain netdev cut {interface} '{chain}'")
    host.succeed(*(f"nft add rule netdev cut {rule}" for rule in rules))


def mend():
    for host in hosts:
        host.succeed("nft delete table netdev cut")


def wait_for_split_brain():
    """Waits until DRBD on one host has detected it and closed the connection, for the other host, too."""
    for _ in range(60):
        for host in hosts:
            if host.execute("journalctl --dmesg | grep 'Split-Brain detected'")[0] == 0:
                return
        client.succeed("sleep 1")
    raise AssertionError("no split brain after a minute")


def assert_lines(host):
    """Checks that the server has all lines that the client has written, once and in order."""
    least = written()
    count = int(
        host.succeed(
            "cp /srv/nfs/share/lines /tmp/lines",
            "seq $(wc --lines < /tmp/lines) | cmp - /tmp/lines",
            "wc --lines < /tmp/lines",
        )
    )
    assert count >= least, f"{host.name} has {count} lines, and the client has written {least}"
    return count


def assert_writes(host, what, bound):
    """Checks that the client writes again, after a pause of at most `bound`, and that nothing is lost."""
    wait_for_writes()
    gap = longest_gap(client, "answers")
    client.succeed("systemctl is-active writer.service")
    count = assert_lines(host)
    figures = f"{what}: {gap:.1f} s without a write, allowed are {bound} s; {count} lines are whole"
    print(figures)
    assert gap <= bound, figures


def power_off(host, other, what):
    """Takes the power of the master, and waits until the other host serves."""
    host.crash()
    wait_for_server(other)
    assert_writes(other, what, 60)


def power_on(host):
    """Waits until the host is a backup with all writes."""
    host.start()
    wait_for_state(host, "backup")
    wait_for_disks(host, "UpToDate/UpToDate")


def forget():
    longest_gap(client, "answers")


start_all()
for host in hosts:
    host.wait_for_unit("multi-user.target")

with subtest("the steps of the page"):
    prepare(nfs1, nfs2)
    prepare(nfs2, nfs1)
    for host in hosts:
        host.wait_until_succeeds("grep cs:Connected /proc/drbd", timeout=seconds(60))
    nfs1.succeed(
        "drbdadm primary --force r0",
        "mkfs.ext4 -q /dev/drbd0",
        "mount /dev/drbd0 /srv/nfs",
        "mkdir -m 1777 /srv/nfs/share",
        "mkdir -m 700 /srv/nfs/nfsdcld",
        "umount /srv/nfs",
        "drbdadm secondary r0",
    )
    for host in hosts:
        wait_for_disks(host, "UpToDate/UpToDate")
    for host in hosts:
        host.succeed("systemctl enable --now vrrp.service")
        if host is nfs1:
            wait_for_server(nfs1)

with subtest("the export is on the master only, and a client writes"):
    wait_for_server(nfs1, nfs2)
    wait_for_state(nfs2, "backup")
    client.succeed(
        f"mount -t nfs4 -o hard {VIP}:/srv/nfs/share /mnt",
        f"cat > /tmp/writer <<'END'\n{WRITER}\nEND",
        "systemd-run --unit=writer bash /tmp/writer",
    )
    client.wait_until_succeeds("test -s /tmp/written", timeout=seconds(120))
    forget()
    assert_writes(nfs1, "no failure", 5)

with subtest("the daemon is stopped on the master: its units stop before those of the other start"):
    nfs1.succeed("systemctl stop vrrp.service")
    wait_for_server(nfs2, nfs1)
    assert_writes(nfs2, "orderly stop", 60)

with subtest("the daemon is back: no event, because no host preempts"):
    before = transitions(nfs2)
    nfs1.succeed("systemctl start vrrp.service")
    wait_for_state(nfs1, "backup")
    assert_writes(nfs2, "return", 5)
    assert transitions(nfs2) == before

with subtest("the master steps down at once: the promotion waits until its units have stopped"):
    nfs2.succeed("vrrpd step-down VI_1 --for 10s")
    wait_for_server(nfs1, nfs2)
    assert_writes(nfs1, "step-down", 60)
    nfs1.succeed("vrrpd step-down VI_1 --for 10s")
    wait_for_server(nfs2, nfs1)
    wait_for_state(nfs1, "backup")
    assert_writes(nfs2, "step-down of the other", 60)

with subtest("the master loses its power: the other host takes over with all lines"):
    power_off(nfs2, nfs1, "power-off")

with subtest("the lost host is back: a backup once its disk has all writes"):
    power_on(nfs2)
    assert_writes(nfs1, "return after a power-off", 15)

with subtest("the host that returned has the lines that were written without it"):
    power_off(nfs1, nfs2, "power-off of the other")
    power_on(nfs1)
    forget()

with subtest("only VRRP is cut: the backup cannot become primary, and the data have one writer"):
    for host in hosts:
        cut(host, "eth1 ip protocol 112 drop")
    wait_for_state(nfs1, "fault")
    assert "drbd-primary.service" in instance(nfs1)["cause"], instance(nfs1)
    nfs1.fail("findmnt /srv/nfs")
    nfs2.succeed("findmnt /srv/nfs")
    mend()
    wait_for_state(nfs1, "backup")
    wait_for_server(nfs2, nfs1)
    assert_writes(nfs2, "VRRP is cut", 120)

with subtest("the replication is cut: the backup is outdated, and does not serve old data"):
    nfs2.succeed("ip link set eth2 down")
    wait_for_disks(nfs1, "Outdated/")
    wait_for_state(nfs1, "fault")
    assert instance(nfs1)["cause"] == "tracker disk is down", instance(nfs1)
    assert_writes(nfs2, "replication is cut", 60)
    nfs2.crash()
    client.succeed("sleep 15")
    assert instance(nfs1)["state"] == "fault"
    nfs1.fail("findmnt /srv/nfs")

with subtest("the host with all writes is back: it serves them"):
    nfs2.start()
    wait_for_server(nfs2, nfs1)
    wait_for_state(nfs1, "backup")
    assert_writes(nfs2, "return of the only current disk", 600)
    for host in hosts:
        wait_for_disks(host, "UpToDate/UpToDate")

with subtest("VRRP and replication are cut: both hosts write, as the page warns"):
    # The client remains on the side of nfs2.
    cut(nfs1, "eth1 drop", "eth2 drop")
    cut(nfs2, "eth1 ip protocol 112 drop")
    wait_for_server(nfs1)
    wait_for_server(nfs2)
    wait_for_writes()
    client.succeed("systemctl stop writer.service")
    mend()
    wait_for_split_brain()
    nfs1.succeed(
        "systemctl stop vrrp.service",
        "drbdadm disconnect r0 || grep cs:StandAlone /proc/drbd",
        "drbdadm secondary r0",
        "drbdadm connect --discard-my-data r0",
    )
    nfs2.succeed("if grep cs:StandAlone /proc/drbd; then drbdadm connect r0; fi")
    for host in hosts:
        wait_for_disks(host, "UpToDate/UpToDate")
    nfs1.succeed("systemctl start vrrp.service")
    wait_for_server(nfs2, nfs1)
    wait_for_state(nfs1, "backup")
    assert_lines(nfs2)

with subtest("both hosts lose their power, and one returns: it serves when the operator says so"):
    nfs1.crash()
    nfs2.crash()
    nfs1.start()
    wait_for_disks(nfs1, "Consistent/")
    wait_for_state(nfs1, "fault")
    assert instance(nfs1)["cause"] == "tracker disk is down", instance(nfs1)
    nfs1.succeed("drbdadm primary --force r0", "drbdadm secondary r0")
    wait_for_server(nfs1)
    assert_lines(nfs1)
