# iptables and nftables firewalls, open and closed. Hosts with a closed firewall receive no advertisement,
# but see those of the master arrive at the interface and do not take over.
let
  network = import ./network.nix;

  router =
    {
      host,
      priority,
      openFirewall,
      nftables,
    }:
    {
      imports = [ (network.front host) ];
      networking.nftables.enable = nftables;
      services.vrrp = {
        enable = true;
        inherit openFirewall;
        instances.VI_1 = {
          inherit priority;
          interface = "eth1";
          virtualRouterId = 51;
          virtualAddresses = [ "192.168.224.100/24" ];
        };
      };
    };
in
{
  nodes = {
    master = router {
      host = 11;
      priority = 150;
      openFirewall = true;
      nftables = true;
    };
    backup = router {
      host = 12;
      priority = 100;
      openFirewall = true;
      nftables = false;
    };
    closed_nftables = router {
      host = 13;
      priority = 90;
      openFirewall = false;
      nftables = true;
    };
    closed_iptables = router {
      host = 14;
      priority = 80;
      openFirewall = false;
      nftables = false;
    };
  };
}
