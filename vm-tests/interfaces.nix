# Hosts for the test that moves an interface into a VRF and a bond while the daemon runs.
let
  network = import ./network.nix;
  web = import ./web.nix;

  router = name: host: priority: {
    imports = [
      (network.front host)
      (web name)
    ];
    # The web server listens outside of VRFs and accepts connections from all of them.
    boot.kernel.sysctl."net.ipv4.tcp_l3mdev_accept" = true;
    services.vrrp = {
      enable = true;
      openFirewall = true;
      vrfs.eth1 = "blue";
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
    master = router "master" 11 100;
    backup = router "backup" 12 99;
    client = network.front 3;
  };
}
