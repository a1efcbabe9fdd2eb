# Helpers of all VM tests, placed before each test script. They use names of the NixOS test driver
# only: start_all, subtest, and of a machine name, start, crash, shutdown, succeed, fail,
# wait_for_unit and wait_until_succeeds.
import itertools
import json

VIRTUAL_ADDRESS = "192.168.224.100"

# Requests the page every 0.1 s from each address in its arguments. Records the time before each
# round, and the time after a round in which every address answered.
PROBE = """
while sleep 0.1; do
  echo $EPOCHREALTIME >> /tmp/questions
  for address; do
    curl --silent --fail --max-time 0.3 --output /dev/null "http://$address/" || continue 2
  done
  echo $EPOCHREALTIME >> /tmp/answers
done
"""

# A measured gap is longer than the outage by up to three rounds of the probe: the round in which
# the outage begins, the round in which it ends, which may fail, and the next. The duration of a
# round is measured, because it depends on the machine, which may not have been scheduled for a while.
ROUNDS = 3


def instance(node, name="VI_1"):
    """Status of an instance, from the daemon on `node`."""
    status = json.loads(node.succeed("vrrpd status --json"))
    return next(each for each in status["instances"] if each["name"] == name)


def wait_for_state(node, state, name="VI_1"):
    node.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f'\'.instances[] | select(.name == "{name}") | .state == "{state}"\'',
        timeout=seconds(120),
    )


def addresses(node, interface="eth1"):
    """Addresses of an interface."""
    links = json.loads(node.succeed(f"ip -json address show dev {interface}"))
    return [each["local"] for link in links for each in link.get("addr_info", [])]


def wait_for_address(node, address, interface="eth1"):
    node.wait_until_succeeds(
        f"ip -json address show dev {interface} | jq --exit-status "
        f"'[.[].addr_info[]?.local] | index(\"{address}\") != null'",
        timeout=seconds(120),
    )


def holders(nodes, address, interface="eth1"):
    """Names of the hosts that hold an address."""
    return [node.name for node in nodes if address in addresses(node, interface)]


def assert_only_holder(holder, nodes, address, interface="eth1"):
    """Checks five times that one host alone holds an address."""
    for _ in range(5):
        found = holders(nodes, address, interface)
        assert found == [holder.name], f"{address} is held by {found}, not by {holder.name}"


def transitions(node, name="VI_1"):
    """Number of times an instance became master; a change of master increases it."""
    return instance(node, name)["counters"]["becameMaster"]


def wait_for_sync_threads(node, roles):
    """Waits until the IPVS sync daemons are exactly these: "master", "backup", both or none."""
    node.wait_until_succeeds(
        "test \"$(ipvsadm --list --daemon | sed --quiet 's/ sync daemon.*//p' | sort | xargs)\""
        f' = "{roles}"',
        timeout=seconds(120),
    )


def page(client, address=VIRTUAL_ADDRESS):
    return client.succeed(f"curl --silent --fail --max-time 5 http://{address}/").strip()


def start_probe(client, addresses=(VIRTUAL_ADDRESS,)):
    client.succeed(f"cat > /tmp/probe <<'END'\n{PROBE}\nEND")
    client.succeed(
        'systemd-run --unit=probe --collect --setenv=PATH="$PATH" "$(command -v bash)" /tmp/probe '
        + " ".join(addresses)
    )
    client.wait_until_succeeds("test -s /tmp/answers", timeout=seconds(60))


def longest_gap(client, what):
    """Longest time in seconds between two entries of `what` since the previous call."""
    noted = f"/tmp/{what}"
    seconds = [float(line) for line in client.succeed(f"cat {noted}").split()]
    client.succeed(f"tail --lines=1 {noted} > /tmp/last && mv /tmp/last {noted}")
    return max((later - earlier for earlier, later in itertools.pairwise(seconds)), default=0.0)


def forget_gaps(client):
    """Makes the next assert_gap consider only entries from now on."""
    for what in ["questions", "answers"]:
        longest_gap(client, what)


def assert_gap(client, bound, what):
    """Checks that no gap between two answers exceeds `bound` and the resolution of the probe."""
    # The gap ends with an answer that is newer than this file.
    client.succeed("touch /tmp/closed")
    client.wait_until_succeeds("test /tmp/answers -nt /tmp/closed", timeout=seconds(60))
    gap = longest_gap(client, "answers")
    probe = ROUNDS * longest_gap(client, "questions")
    figures = f"{what}: {gap:.2f} s without an answer, allowed are {bound:.2f} s and {probe:.2f} s"
    print(figures)
    assert gap <= bound + probe, figures
