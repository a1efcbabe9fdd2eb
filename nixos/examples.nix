# An example for every key of the daemon's configuration, by the definition of daemon/config/schema.json to
# which the key belongs.
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
  "Config.syncGroups" = {
    VG_1.members = [
      "VI_1"
      "VI_2"
    ];
  };
  "Config.trackers" = {
    httpd = { inherit script; };
    gateway.ping.host = "192.168.224.1";
    page.http.url = "http://127.0.0.1/";
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
  "Instance.lvs".syncId = 1;
  "Instance.lvsSyncInterface" = "eth2";
  "Instance.notify".any = [ "/usr/local/notify.sh" ];
  "Instance.preempt" = false;
  "Instance.preemptDelay" = "5m";
  "Instance.priority" = 150;
  "Instance.resources" = [
    "httpd.service"
    "backup.timer"
  ];
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
  "Instance.trackInterface" = false;
  "Instance.trustWire" = false;
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
  "VirtualAddress.prefixRoute" = false;
  "VirtualAddress.scope" = "link";
  "SyncGroup.members" = [
    "VI_1"
    "VI_2"
  ];
  "SyncGroup.notify".any = [ "/usr/local/notify.sh" ];
  "SyncGroup.track" = [ "uplink" ];

  "Unicast.minTtl" = 254;
  "Unicast.peers" = [
    "192.168.224.11"
    "router2.example"
  ];
  "Unicast.ttl" = 64;
  "VirtualMac.sendFrom" = "base";

  "Lvs.group" = "239.0.0.81";
  "Lvs.maxLength" = 8972;
  "Lvs.port" = 8849;
  "Lvs.syncId" = 1;
  "Lvs.ttl" = 2;

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

  "Notify.any" = [ "/usr/local/notify.sh" ];
  "Notify.backup" = [ "/usr/local/detach-address.sh" ];
  "Notify.contested" = [ "/usr/local/attach-address.sh" ];
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

  "Resources.handover" = "after-stop";
  "Resources.onFailure" = "log";
  "Resources.startTimeout" = "2m";
  "Resources.stopTimeout" = "1m";
  "Resources.units" = [ "httpd.service" ];

  "Tracker.file".path = "/run/load-of-the-database";
  "Tracker.http".url = "http://127.0.0.1/";
  "Tracker.interface" = {
    name = "eth0";
  };
  "Tracker.ping".host = "192.168.224.1";
  "Tracker.process".name = "httpd";
  "Tracker.route" = {
    destination = "default";
    neighbour = true;
  };
  "Tracker.script" = script;
  "Tracker.tcp" = {
    host = "127.0.0.1";
    port = 25;
    expect = "220 ";
  };
  "Tracker.unit" = {
    name = "httpd.service";
    restart = true;
  };
  "TrackedFile.hold" = "10s";
  "TrackedFile.path" = "/run/load-of-the-database";
  "TrackedHttp.address" = "127.0.0.1";
  "TrackedHttp.caFile" = "/etc/ssl/certs/internal.pem";
  "TrackedHttp.expect" = "all is well";
  "TrackedHttp.fall" = 3;
  "TrackedHttp.headers".Host = "www.example";
  "TrackedHttp.hold" = "10s";
  "TrackedHttp.initial" = "down";
  "TrackedHttp.insecure" = true;
  "TrackedHttp.interface" = "eth1";
  "TrackedHttp.interval" = "500ms";
  "TrackedHttp.method" = "HEAD";
  "TrackedHttp.rise" = 2;
  "TrackedHttp.source" = "192.168.224.11";
  "TrackedHttp.status" = [
    200
    "300-399"
  ];
  "TrackedHttp.timeout" = "2s";
  "TrackedHttp.url" = "https://www.example/health";
  "TrackedInterface.downDelay" = "500ms";
  "TrackedInterface.hold" = "10s";
  "TrackedInterface.name" = "eth0";
  "TrackedInterface.upDelay" = "3s";
  "TrackedPing.fall" = 3;
  "TrackedPing.hold" = "10s";
  "TrackedPing.host" = "192.168.224.1";
  "TrackedPing.initial" = "down";
  "TrackedPing.interface" = "eth1";
  "TrackedPing.interval" = "500ms";
  "TrackedPing.maxLost" = 1;
  "TrackedPing.packets" = 3;
  "TrackedPing.rise" = 2;
  "TrackedPing.source" = "192.168.224.11";
  "TrackedPing.spacing" = "50ms";
  "TrackedPing.timeout" = "300ms";
  "TrackedProcess.atLeast" = 2;
  "TrackedProcess.atMost" = 16;
  "TrackedProcess.commandLine" = [
    "/usr/local/bin/queue"
    "--worker"
  ];
  "TrackedProcess.downDelay" = "500ms";
  "TrackedProcess.hold" = "10s";
  "TrackedProcess.initial" = "down";
  "TrackedProcess.interval" = "200ms";
  "TrackedProcess.name" = "httpd";
  "TrackedProcess.upDelay" = "3s";
  "TrackedRoute.destination" = "default";
  "TrackedRoute.device" = "eth0";
  "TrackedRoute.downDelay" = "500ms";
  "TrackedRoute.fall" = 3;
  "TrackedRoute.gateway" = "192.168.224.1";
  "TrackedRoute.hold" = "10s";
  "TrackedRoute.initial" = "down";
  "TrackedRoute.interval" = "500ms";
  "TrackedRoute.neighbour" = true;
  "TrackedRoute.rise" = 2;
  "TrackedRoute.table" = 100;
  "TrackedRoute.timeout" = "300ms";
  "TrackedRoute.upDelay" = "3s";
  "TrackedUnit.downDelay" = "500ms";
  "TrackedUnit.hold" = "10s";
  "TrackedUnit.initial" = "down";
  "TrackedUnit.name" = "httpd.service";
  "TrackedUnit.restart" = {
    atMost = 5;
    within = "10m";
  };
  "TrackedUnit.upDelay" = "3s";
  "Restart.atMost" = 5;
  "Restart.timeout" = "30s";
  "Restart.within" = "10m";
  "TrackedScript.command" = literalExpression ''
    [ (lib.getExe pkgs.curl) "--fail" "--silent" "http://localhost/" ]
  '';
  "TrackedScript.fall" = 3;
  "TrackedScript.hold" = "10s";
  "TrackedScript.initial" = "down";
  "TrackedScript.interval" = 2;
  "TrackedScript.rise" = 2;
  "TrackedScript.timeout" = "500ms";
  "TrackedScript.user" = "nobody";
  "TrackedTcp.expect" = "220 ";
  "TrackedTcp.fall" = 3;
  "TrackedTcp.hold" = "10s";
  "TrackedTcp.host" = "127.0.0.1";
  "TrackedTcp.initial" = "down";
  "TrackedTcp.interface" = "eth1";
  "TrackedTcp.interval" = 2;
  "TrackedTcp.port" = 25;
  "TrackedTcp.rise" = 2;
  "TrackedTcp.send" = "PING\r\n";
  "TrackedTcp.source" = "192.168.224.11";
  "TrackedTcp.timeout" = "500ms";
}
