# The two networks: each adds an interface with an address to a host.
let
  segment = interface: vlan: network: host: {
    virtualisation.interfaces.${interface} = {
      inherit vlan;
      assignIP = false;
    };
    networking.interfaces.${interface}.ipv4.addresses = [
      {
        address = "${network}.${toString host}";
        prefixLength = 24;
      }
    ];
  };
in
{
  # Network of the clients.
  front = segment "eth1" 1 "192.168.224";
  # The same network with IPv6.
  front6 = host: {
    networking.interfaces.eth1.ipv6.addresses = [
      {
        address = "2001:db8:224::${toString host}";
        prefixLength = 64;
      }
    ];
  };
  # Network of servers that clients cannot reach.
  back = segment "eth2" 2 "192.168.198";
}
