# An example for every word of the daemon's configuration, by the definition of
# daemon/config/schema.json in which it stands.
{ lib }:
let
  inherit (lib) literalExpression;

  script = {
    command = [ "/usr/local/httpd.sh" ];
    interval = 2;
  };
in
{
  "Config.instances" = {
    VI_1 = {
      interface = "eth1";
      virtualRouterId = 51;
      virtualAddresses = [ "192.168.224.100/24" ];
    };
  };
  "Config.trackers" = {
    httpd = { inherit script; };
    uplink.interface.name = "eth0";
  };

  "Instance.acceptMode" = false;
  "Instance.advertInterval" = "100ms";
  "Instance.announce" = {
    burst = 3;
    refresh = "10m";
  };
  "Instance.authentication" = {
    pass.passwordFile = "/run/secrets/vrrp";
  };
  "Instance.interface" = "eth1";
  "Instance.notify".any = [ "/usr/local/told.sh" ];
  "Instance.preempt" = false;
  "Instance.preemptDelay" = "5m";
  "Instance.priority" = 150;
  "Instance.routes" = [
    {
      destination = "default";
      gateway = "192.168.224.1";
      source = "192.168.224.100";
    }
  ];
  "Instance.rules" = [
    {
      from = "192.168.224.100/32";
      table = 100;
    }
  ];
  "Instance.source" = "10.0.0.11";
  "Instance.startupDelay" = "30s";
  "Instance.state" = "master";
  "Instance.track" = [
    "httpd"
    {
      tracker = "uplink";
      weight = -20;
    }
  ];
  "Instance.unicast".peers = [
    "192.168.224.11"
    "192.168.224.12"
  ];
  "Instance.version" = 2;
  "Instance.virtualAddresses" = [
    "192.168.224.100/24"
    "2001:db8::100/64"
    {
      address = "10.0.0.100/24";
      device = "eth0";
    }
  ];
  "Instance.virtualMac" = true;
  "Instance.virtualRouterId" = 51;

  "VirtualAddress.address" = "192.168.224.100/24";
  "VirtualAddress.advertise" = false;
  "VirtualAddress.broadcast" = "auto";
  "VirtualAddress.device" = "eth0";
  "VirtualAddress.label" = "eth1:vip";
  "VirtualAddress.preferredLifetime" = 0;
  "VirtualAddress.scope" = "link";
  "Unicast.minTtl" = 254;
  "Unicast.peers" = [
    "192.168.224.11"
    "router2.example"
  ];
  "Unicast.ttl" = 64;
  "VirtualMac.sendFrom" = "base";

  "Route.destination" = "10.0.0.0/8";
  "Route.device" = "eth1";
  "Route.gateway" = "192.168.224.1";
  "Route.metric" = 100;
  "Route.nextHops" = [
    { gateway = "192.168.224.1"; }
    {
      gateway = "192.168.224.2";
      weight = 2;
    }
  ];
  "Route.onLink" = true;
  "Route.scope" = "link";
  "Route.source" = "192.168.224.100";
  "Route.table" = 100;
  "Hop.device" = "eth1";
  "Hop.gateway" = "192.168.224.1";
  "Hop.onLink" = true;
  "Hop.weight" = 2;
  "Rule.from" = "192.168.224.100/32";
  "Rule.fwmark" = 1;
  "Rule.iif" = "eth1";
  "Rule.oif" = "eth1";
  "Rule.priority" = 1000;
  "Rule.table" = 100;
  "Rule.to" = "10.0.0.0/8";

  "Announce.burst" = 3;
  "Announce.delay" = "2s";
  "Announce.onLowerPriority" = false;
  "Announce.pace" = 200;
  "Announce.refresh" = "10m";

  "Authentication.pass" = {
    passwordFile = "/run/secrets/vrrp";
  };
  "Authentication.hmac" = {
    keys."1".keyFile = "/run/secrets/vrrp";
  };
  "Hmac.activeKey" = 1;
  "Hmac.antiReplay" = "monotonic";
  "Hmac.keys" = {
    "1".keyFile = "/run/secrets/vrrp";
    "2".keyFile = "/run/secrets/vrrp-next";
  };
  "Hmac.mode" = "permissive";
  "Hmac.timeWindow" = 10;
  "HmacKey.key" = "hex:4f1b66d79f0c5c3e6c1f4b6d0a4bd1e2c55b1f9a7d0e8f3361a5b94c28d7e60f";
  "HmacKey.keyFile" = "/run/secrets/vrrp";
  "Pass.password" = "1111";
  "Pass.passwordFile" = "/run/secrets/vrrp";

  "Notify.any" = [ "/usr/local/told.sh" ];
  "Notify.backup" = [ "/usr/local/detach-address.sh" ];
  "Notify.fault" = [ "/usr/local/detach-address.sh" ];
  "Notify.master" = [ "/usr/local/attach-address.sh" ];
  "Notify.onReload" = true;
  "Notify.onStart" = false;
  "Notify.retries" = 5;
  "Notify.stop" = [ "/usr/local/detach-address.sh" ];
  "Notify.style" = "keepalived";
  "Notify.timeout" = 10;
  "Notify.user" = "nobody";

  "Follow.tracker" = "uplink";
  "Follow.weight" = -20;

  "Tracker.interface" = {
    name = "eth0";
  };
  "Tracker.script" = script;
  "TrackedInterface.name" = "eth0";
  "TrackedScript.command" = literalExpression ''
    [ (lib.getExe pkgs.curl) "--fail" "--silent" "http://localhost/" ]
  '';
  "TrackedScript.fall" = 3;
  "TrackedScript.interval" = 2;
  "TrackedScript.rise" = 2;
  "TrackedScript.timeout" = "500ms";
  "TrackedScript.user" = "nobody";
}
