# The two networks: each gives a host an interface of its own with an address of its own.
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
  # Where clients are.
  front = segment "eth1" 1 "192.168.224";
  # ... and clients of IPv6.
  front6 = host: {
    networking.interfaces.eth1.ipv6.addresses = [
      {
        address = "2001:db8:224::${toString host}";
        prefixLength = 64;
      }
    ];
  };
  # Where servers are that clients do not reach.
  back = segment "eth2" 2 "192.168.198";
}
