# Experiment 1: two web servers share an address. What they are told stands in httpd/, and in the
# README.
let
  network = import ./network.nix;
  web = import ./web.nix;
in
{
  nodes = {
    master.imports = [
      ./httpd/master.nix
      (network.front 11)
      (web "master")
    ];
    backup.imports = [
      ./httpd/backup.nix
      (network.front 12)
      (web "backup")
    ];
    client = network.front 3;
  };
}
