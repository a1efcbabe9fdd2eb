# A web server as a resource of the instance, and trackers of its unit and its page.
let
  network = import ./network.nix;
  web = import ./web.nix;

  host = number: page: priority: {
    imports = [
      (network.front number)
      (web page)
    ];
    services.vrrp = {
      enable = true;
      openFirewall = true;
      trackers.web.unit.name = "httpd.service";
      trackers.page.http = {
        url = "http://127.0.0.1/";
        interval = "200ms";
        timeout = "200ms";
      };
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        inherit priority;
        virtualAddresses = [ "192.168.224.100/24" ];
        resources = {
          units = [ "httpd.service" ];
          handover = "after-stop";
        };
      };
    };
  };
in
{
  nodes = {
    master = host 11 "master" 150;
    backup = host 12 "backup" 100;
    client = network.front 3;
  };
}
