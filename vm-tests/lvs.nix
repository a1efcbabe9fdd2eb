# Two LVS directors share an address and synchronise their connections. The test script configures LVS,
# as an administrator would. The server answers the client directly.
let
  network = import ./network.nix;
  web = import ./web.nix;

  director =
    { host, priority }:
    { pkgs, ... }:
    {
      imports = [
        (network.front host)
        (network.back host)
      ];

      environment.systemPackages = [ pkgs.ipvsadm ];
      networking.firewall.allowedTCPPorts = [ 80 ];

      services.vrrp = {
        enable = true;
        openFirewall = true;
        instances.VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          inherit priority;
          virtualAddresses = [ "192.168.224.100/24" ];
          lvsSyncInterface = "eth2";
        };
      };
    };
in
{
  nodes = {
    master = director {
      host = 11;
      priority = 100;
    };
    backup = director {
      host = 12;
      priority = 99;
    };
    client = network.front 3;
    server.imports = [
      (network.front 20)
      (web "server")
    ];
  };
}
