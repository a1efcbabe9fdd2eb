{
  services.vrrp = {
    enable = true;
    openFirewall = true;
    trackers = {
      chk = {
        script = {
          command = [ "/bin/true" ];
          timeout = 1;
        };
      };
    };
    instances = {
      VI_7 = {
        interface = "eth1";
        virtualRouterId = 51;
        version = 2;
        track = [ "chk" ];
        virtualAddresses = [
          "192.0.2.100/24"
          "192.0.2.101/24"
          "192.0.2.102/24"
          {
            address = "192.0.2.7/32";
            device = "eth2";
          }
          {
            address = "192.0.2.8/32";
            device = "eth3";
          }
        ];
      };
      VI_8 = {
        interface = "eth1";
        virtualRouterId = 52;
        version = 2;
        virtualAddresses = [
          "192.0.2.10"
          "192.0.2.11"
          {
            address = "2001:db8::a";
            advertise = false;
          }
          {
            address = "2001:db8::b";
            advertise = false;
          }
        ];
      };
    };
  };
}
