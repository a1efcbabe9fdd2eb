# Experiment 2: a second network with servers that clients cannot reach, and one address on each
# network. Version 2, password and priorities are those of the course.
let
  network = import ./network.nix;
  web = import ./web.nix;

  router =
    {
      state,
      priority,
      host,
    }:
    {
      imports = [
        (network.front host)
        (network.back host)
        (web state)
      ];

      environment.etc."vrrp-password" = {
        text = "1111";
        mode = "0400";
      };

      services.vrrp = {
        enable = true;
        openFirewall = true;
        trackers.httpd_check.script = {
          command = [ "${./httpd/httpd.sh}" ];
          interval = 2;
          mayManage = [ "httpd.service" ];
        };
        instances = {
          VI_1 = {
            inherit state priority;
            interface = "eth1";
            virtualRouterId = 51;
            version = 2;
            advertInterval = 1;
            authentication.pass.passwordFile = "/etc/vrrp-password";
            track = [ "httpd_check" ];
            virtualAddresses = [ "192.168.224.100/24" ];
          };
          VI_2 = {
            inherit state;
            interface = "eth2";
            virtualRouterId = 52;
            priority = 100;
            version = 2;
            advertInterval = 1;
            authentication.pass.passwordFile = "/etc/vrrp-password";
            virtualAddresses = [ "192.168.198.100/24" ];
          };
        };
      };
    };
in
{
  nodes = {
    master = router {
      state = "master";
      priority = 100;
      host = 11;
    };
    backup = router {
      state = "backup";
      priority = 99;
      host = 12;
    };
    client = network.front 3;
    server.imports = [
      (network.back 20)
      (web "application")
    ];
  };
}
