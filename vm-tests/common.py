# What the stories share. It stands before each of them, and uses the NixOS driver's names only:
# start_all, subtest, and of a machine name, start, crash, shutdown, succeed, fail,
# wait_for_unit and wait_until_succeeds.
import itertools
import json

VIRTUAL_ADDRESS = "192.168.224.100"

# Asks for the page again and again, at each of its arguments, and notes when it asked and when each
# of them had answered.
PROBE = """
while sleep 0.1; do
  echo $EPOCHREALTIME >> /tmp/questions
  for address; do
    curl --silent --fail --max-time 0.3 --output /dev/null "http://$address/" || continue 2
  done
  echo $EPOCHREALTIME >> /tmp/answers
done
"""

# From the last answer before an outage to the first one after it may pass what is left of three
# rounds of the probe, beside the outage: the one in which it begins, the one in which it ends, which
# may be in vain, and the next. How long a round takes is measured, because it depends on the machine,
# which may also have stood still.
ROUNDS = 3


def instance(node, name="VI_1"):
    """What the daemon on `node` says of an instance."""
    status = json.loads(node.succeed("vrrpd status --json"))
    return next(each for each in status["instances"] if each["name"] == name)


def wait_for_state(node, state, name="VI_1"):
    node.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f'\'.instances[] | select(.name == "{name}") | .state == "{state}"\'',
        timeout=seconds(120),
    )


def addresses(node, interface="eth1"):
    """The addresses of an interface."""
    links = json.loads(node.succeed(f"ip -json address show dev {interface}"))
    return [each["local"] for link in links for each in link.get("addr_info", [])]


def wait_for_address(node, address, interface="eth1"):
    node.wait_until_succeeds(
        f"ip -json address show dev {interface} | jq --exit-status "
        f"'[.[].addr_info[]?.local] | index(\"{address}\") != null'",
        timeout=seconds(120),
    )


def holders(nodes, address, interface="eth1"):
    """The names of the hosts that hold an address."""
    return [node.name for node in nodes if address in addresses(node, interface)]


def assert_only_holder(holder, nodes, address, interface="eth1"):
    """Looks several times: it must stay so."""
    for _ in range(5):
        found = holders(nodes, address, interface)
        assert found == [holder.name], f"{address} is held by {found}, not by {holder.name}"


def transitions(node, name="VI_1"):
    """How often an instance became master: what a switch changes."""
    return instance(node, name)["counters"]["becameMaster"]


def wait_for_sync_threads(node, roles):
    """Until the kernel has exactly these sync threads of IPVS: "master", "backup", both or none."""
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
    """How many seconds at most were between two of `what`, since this was asked last."""
    noted = f"/tmp/{what}"
    seconds = [float(line) for line in client.succeed(f"cat {noted}").split()]
    client.succeed(f"tail --lines=1 {noted} > /tmp/last && mv /tmp/last {noted}")
    return max((later - earlier for earlier, later in itertools.pairwise(seconds)), default=0.0)


def forget_gaps(client):
    """Lets the next assert_gap look at what comes from now on."""
    for what in ["questions", "answers"]:
        longest_gap(client, what)


def assert_gap(client, bound, what):
    """The client was without an answer for no longer than `bound` seconds, as far as it can tell."""
    # The last answer closes the gap.
    client.succeed("touch /tmp/closed")
    client.wait_until_succeeds("test /tmp/answers -nt /tmp/closed", timeout=seconds(60))
    gap = longest_gap(client, "answers")
    probe = ROUNDS * longest_gap(client, "questions")
    figures = f"{what}: {gap:.2f} s without an answer, allowed are {bound:.2f} s and {probe:.2f} s"
    print(figures)
    assert gap <= bound + probe, figures
