{
  hosts.router1 = {
    priority = 150;
    source = "192.0.2.1";
  };
  hosts.router2 = {
    priority = 100;
    source = "192.0.2.2";
    interface = "ens3";
  };
  instances.VI_1 = {
    interface = "eth1";
    virtualRouterId = 51;
    virtualAddresses = [ "192.0.2.100/24" ];
    unicast.ttl = 255;
  };
  common.openFirewall = true;
}
