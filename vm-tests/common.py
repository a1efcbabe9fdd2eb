# What the stories share. It stands before each of them, and uses the NixOS driver's names only:
# start_all, subtest, and of a machine name, start, crash, shutdown, succeed, fail,
# wait_for_unit and wait_until_succeeds.
import json

# How long a virtual machine may stand still without anybody being to blame, in seconds.
SLACK = 3.0

# Asks for the page ten times a second and notes when there was an answer.
PROBE = """
while sleep 0.1; do
  if curl --silent --fail --max-time 0.3 --output /dev/null http://192.168.224.100/; then
    date +%s.%N >> /tmp/answers
  fi
done
"""


def instance(node, name="VI_1"):
    """What the daemon on `node` says of an instance."""
    status = json.loads(node.succeed("vrrpd status --json"))
    return next(each for each in status["instances"] if each["name"] == name)


def wait_for_state(node, state, name="VI_1"):
    node.wait_until_succeeds(
        "vrrpd status --json | jq --exit-status "
        f'\'.instances[] | select(.name == "{name}") | .state == "{state}"\'',
        timeout=120,
    )


def addresses(node, interface="eth1"):
    """The IPv4 addresses of an interface."""
    links = json.loads(node.succeed(f"ip -json -4 address show dev {interface}"))
    return [each["local"] for link in links for each in link.get("addr_info", [])]


def wait_for_address(node, address, interface="eth1"):
    node.wait_until_succeeds(
        f"ip -json -4 address show dev {interface} | jq --exit-status "
        f"'[.[].addr_info[]?.local] | index(\"{address}\") != null'",
        timeout=120,
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


def page(client, address="192.168.224.100"):
    return client.succeed(f"curl --silent --fail --max-time 5 http://{address}/").strip()


def start_probe(client):
    client.succeed(f"cat > /tmp/probe <<'END'\n{PROBE}\nEND")
    client.succeed(
        'systemd-run --unit=probe --collect --setenv=PATH="$PATH" "$(command -v sh)" /tmp/probe'
    )
    client.wait_until_succeeds("test -s /tmp/answers", timeout=60)


def longest_gap(client):
    """For how many seconds at most there was no answer, since this was asked last."""
    seconds = [float(line) for line in client.succeed("cat /tmp/answers").split()]
    client.succeed("tail --lines=1 /tmp/answers > /tmp/last && mv /tmp/last /tmp/answers")
    return max((later - earlier for earlier, later in zip(seconds, seconds[1:])), default=0.0)


def assert_gap(client, bound, what):
    # The last answer closes the gap.
    client.succeed("sleep 1")
    gap = longest_gap(client)
    print(f"{what}: {gap:.2f} s without an answer, {bound} s and {SLACK} s of slack are allowed")
    assert gap <= bound + SLACK, f"{what}: {gap} s without an answer"
