# Experiment 1: two web servers share an address. What they are told stands in httpd/, and in the
# README.
let
  network = import ./network.nix;
  web = import ./web.nix;

  # Without KVM it takes seconds to start httpd, and the script waits for that.
  slow.services.vrrp.trackers.httpd.script.timeout = "10s";
in
{
  nodes = {
    master.imports = [
      ./httpd/master.nix
      (network.front 11)
      (web "master")
      slow
    ];
    backup.imports = [
      ./httpd/backup.nix
      (network.front 12)
      (web "backup")
      slow
    ];
    client = network.front 3;
  };
}
