# Experiment 2: a second network with servers that clients cannot reach, and one address on each
# network. Version 2, password and priorities are those of the course. Both routers have one definition.
{ cluster, ... }:
let
  network = import ./network.nix;
  web = import ./web.nix;

  routers = cluster {
    hosts = {
      master = {
        state = "master";
        priority = 100;
      };
      backup = {
        state = "backup";
        priority = 99;
        instances.VI_2.priority = 100;
      };
    };
    # The second address stays where it is after a failover.
    equalPriorities = [ "VI_2" ];
    instances = {
      VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        version = 2;
        advertInterval = 1;
        authentication.pass.passwordFile = "/etc/vrrp-password";
        track = [ "httpd_check" ];
        virtualAddresses = [ "192.168.224.100/24" ];
      };
      VI_2 = {
        interface = "eth2";
        virtualRouterId = 52;
        version = 2;
        advertInterval = 1;
        authentication.pass.passwordFile = "/etc/vrrp-password";
        virtualAddresses = [ "192.168.198.100/24" ];
      };
    };
    common = {
      openFirewall = true;
      trackers.httpd_check.script = {
        command = [ "${./httpd/httpd.sh}" ];
        interval = 2;
        mayManage = [ "httpd.service" ];
      };
    };
  };

  router =
    { name, number }:
    {
      imports = [
        routers.${name}
        (network.front number)
        (network.back number)
        (web name)
      ];

      environment.etc."vrrp-password" = {
        text = "1111";
        mode = "0400";
      };
    };
in
{
  nodes = {
    master = router {
      name = "master";
      number = 11;
    };
    backup = router {
      name = "backup";
      number = 12;
    };
    client = network.front 3;
    server.imports = [
      (network.back 20)
      (web "application")
    ];
  };
}
