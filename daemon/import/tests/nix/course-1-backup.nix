{
  services.vrrp = {
    enable = true;
    openFirewall = true;
    trackers = {
      httpd_check = {
        script = {
          command = [ "/usr/local/httpd.sh" ];
          interval = 2;
        };
      };
    };
    instances = {
      VI_1 = {
        interface = "ens33";
        virtualRouterId = 51;
        state = "backup";
        priority = 99;
        version = 2;
        advertInterval = 1;
        authentication = {
          pass = {
            password = "1111";
          };
        };
        track = [ "httpd_check" ];
        lvsSyncInterface = "ens33";
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };
}
