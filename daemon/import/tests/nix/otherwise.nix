{
  services.vrrp = {
    enable = true;
    openFirewall = true;
    trackers = {
      by_name = {
        script = {
          command = [
            "/usr/bin/env"
            "killall"
            "-0"
            "haproxy"
          ];
          interval = 3;
          rise = 2;
          fall = 3;
          initial = "down";
          user = "nobody";
        };
      };
      quoted = {
        script = {
          command = [
            "/bin/sh"
            "-c"
            "test -e /run/ready"
          ];
          interval = 10;
          timeout = 2;
          user = "root";
        };
      };
      haproxy = {
        process = {
          name = "haproxy";
          atLeast = 2;
          upDelay = "1500ms";
          downDelay = "1500ms";
        };
      };
      eth2 = {
        interface = {
          name = "eth2";
        };
      };
      eth3 = {
        interface = {
          name = "eth3";
        };
      };
      eth9 = {
        interface = {
          name = "eth9";
        };
      };
    };
    instances = {
      VI-1 = {
        interface = "eth1";
        virtualRouterId = 51;
        state = "master";
        priority = 150;
        version = 2;
        advertInterval = 1;
        announce = {
          burst = 3;
          delay = 2;
          refresh = 60;
          onLowerPriority = false;
          pace = 100;
        };
        authentication = {
          pass = {
            password = "longpass";
          };
        };
        track = [
          {
            tracker = "by_name";
            weight = -20;
          }
          {
            tracker = "quoted";
            weight = 10;
          }
          {
            tracker = "eth2";
            weight = -30;
          }
          "eth3"
          "haproxy"
        ];
        notify = {
          master = [ "/usr/local/bin/master.sh" ];
          contested = [ "/usr/local/bin/again.sh" ];
          any = [
            "/usr/local/bin/notify.sh"
            "a b"
          ];
          style = "keepalived";
          user = "root";
        };
        virtualMac = true;
        virtualAddresses = [
          {
            address = "192.0.2.100/24";
            device = "eth1";
            label = "eth1:vip";
            broadcast = "auto";
            scope = "link";
            preferredLifetime = 0;
          }
          "192.0.2.101"
          {
            address = "192.0.2.102/24";
            prefixRoute = false;
          }
          {
            address = "192.0.2.103/32";
            device = "eth2";
            advertise = false;
          }
          {
            address = "2001:db8::1/64";
            advertise = false;
          }
        ];
      };
      VI_2 = {
        interface = "eth1";
        virtualRouterId = 52;
        priority = 255;
        version = 3;
        advertInterval = "260ms";
        announce = {
          onLowerPriority = false;
          pace = 100;
        };
        virtualAddresses = [ "192.0.2.110/24" ];
      };
      VI_3 = {
        interface = "eth1";
        virtualRouterId = 53;
        state = "master";
        priority = 255;
        announce = {
          onLowerPriority = false;
          pace = 100;
        };
        virtualAddresses = [
          "2001:db8::100/64"
          "fe80::100/64"
          {
            address = "192.0.2.130/24";
            advertise = false;
          }
        ];
      };
      VI_4 = {
        interface = "eth4";
        virtualRouterId = 54;
        version = 2;
        preempt = false;
        announce = {
          onLowerPriority = false;
          pace = 100;
        };
        acceptMode = false;
        source = "198.51.100.11";
        unicast = {
          peers = [
            "198.51.100.12"
            "198.51.100.13"
          ];
          ttl = 64;
          minTtl = 1;
        };
        trackInterface = true;
        virtualAddresses = [
          {
            address = "203.0.113.1/24";
            device = "eth5";
          }
        ];
      };
    };
    syncGroups = {
      VG_1 = {
        members = [
          "VI_4"
          "VI-1"
        ];
        track = [ "eth9" ];
        notify = {
          fault = [ "/usr/local/bin/fault.sh" ];
          user = "root";
        };
      };
    };
  };
}
