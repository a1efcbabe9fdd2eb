# Experiment 1: two web servers share an address. Their configuration is in httpd/, and in the
# README.
let
  network = import ./network.nix;
  web = import ./web.nix;

  # The course sets `lvs_sync_daemon_interface`, too, although no host here is a load balancer.
  sync =
    { pkgs, ... }:
    {
      services.vrrp.instances.VI_1.lvsSyncInterface = "eth1";
      environment.systemPackages = [ pkgs.ipvsadm ];
    };
in
{
  nodes = {
    master.imports = [
      ./httpd/master.nix
      sync
      (network.front 11)
      (web "master")
    ];
    backup.imports = [
      ./httpd/backup.nix
      sync
      (network.front 12)
      (web "backup")
    ];
    client = network.front 3;
  };
}
