# Experiment 1: two web servers share an address. What they are told stands in httpd/, and in the
# README.
let
  network = import ./network.nix;
  web = import ./web.nix;

  # The course has `lvs_sync_daemon_interface`, too, although nothing here balances load.
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
