{
  services.vrrp = {
    enable = true;
    openFirewall = true;
    trackers = {
      prefer = {
        file = {
          path = "/run/prefer";
        };
      };
      absent-reversed = {
        script = {
          command = [
            "/bin/sh"
            "-c"
            "! \"$@\""
            "sh"
            "/usr/local/check"
          ];
          timeout = 1;
          initial = "down";
        };
      };
    };
    instances = {
      VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        version = 2;
        track = [
          {
            tracker = "absent-reversed";
            weight = -10;
          }
          {
            tracker = "prefer";
            weight = 2;
          }
        ];
        virtualAddresses = [ "192.0.2.100/24" ];
        routes = [
          {
            destination = "10.0.0.0/8";
            gateway = "192.0.2.1";
          }
          {
            source = "192.0.2.100";
            destination = "default";
            gateway = "192.0.2.1";
            device = "eth1";
            metric = 10;
            table = 100;
            onLink = true;
          }
          {
            destination = "10.3.0.0/16";
            nextHops = [
              {
                gateway = "192.0.2.1";
                weight = 2;
              }
              {
                gateway = "192.0.2.2";
                device = "eth1";
              }
            ];
          }
        ];
        rules = [
          {
            from = "192.0.2.100";
            table = 100;
          }
          {
            from = "192.0.2.0/24";
            table = 254;
            priority = 100;
          }
          {
            fwmark = 16;
            table = 100;
            priority = 32767;
          }
        ];
      };
    };
  };
}
