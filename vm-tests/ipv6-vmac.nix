# Addresses of both families with the virtual MAC addresses of the RFC, and both firewalls.
let
  network = import ./network.nix;
  web = import ./web.nix;

  router =
    {
      name,
      host,
      priority,
      nftables,
    }:
    {
      imports = [
        (network.front host)
        (network.front6 host)
        (web name)
      ];
      networking.nftables.enable = nftables;
      services.vrrp = {
        enable = true;
        openFirewall = true;
        instances.VI_1 = {
          inherit priority;
          interface = "eth1";
          virtualRouterId = 51;
          virtualMac = true;
          virtualAddresses = [
            "192.168.224.100/24"
            "2001:db8:224::100/64"
          ];
        };
      };
    };
in
{
  nodes = {
    master = router {
      name = "master";
      host = 11;
      priority = 100;
      nftables = true;
    };
    backup = router {
      name = "backup";
      host = 12;
      priority = 99;
      nftables = false;
    };
    client.imports = [
      (network.front 3)
      (network.front6 3)
    ];
  };
}
