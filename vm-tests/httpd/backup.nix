{
  services.vrrp = {
    enable = true;
    openFirewall = true;
    trackers.httpd.script.command = [ "${./httpd.sh}" ];
    trackers.httpd.script.mayManage = [ "httpd.service" ];
    instances.VI_1 = {
      interface = "eth1";
      virtualRouterId = 51;
      priority = 99;
      track = [ "httpd" ];
      virtualAddresses = [ "192.168.224.100/24" ];
    };
  };
}
