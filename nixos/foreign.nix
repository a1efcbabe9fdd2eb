# Keywords of keepalived's configuration file and of nixpkgs' services.keepalived, with the options to use
# instead, by the definition of daemon/config/schema.json to which they belong; `Config` is services.vrrp
# itself. The spelling (advert_int, advertInt) is ignored.
{ lib }:
let
  notifications = {
    notify = ''notify.any = [ "/usr/local/notify.sh" ]'';
    notifyBackup = ''notify.backup = [ "/usr/local/notify.sh" ]'';
    notifyFault = ''notify.fault = [ "/usr/local/notify.sh" ]'';
    notifyMaster = ''notify.master = [ "/usr/local/notify.sh" ]'';
    notifyStop = ''notify.stop = [ "/usr/local/notify.sh" ]'';
    smtpAlert = ''notify.any = [ "/usr/local/mail.sh" ] (docs/notify.md has such a program)'';
  };

  tracking = {
    trackFile = ''services.vrrp.trackers.load.file.path = "/run/load", and track = [ "load" ] here'';
    trackFiles = tracking.trackFile;
    trackInterface = ''services.vrrp.trackers.uplink.interface.name = "eth0", and track = [ "uplink" ] here'';
    trackInterfaces = tracking.trackInterface;
    trackProcess = ''services.vrrp.trackers.httpd.process.name = "httpd", and track = [ "httpd" ] here'';
    trackProcesses = tracking.trackProcess;
    trackScript = ''services.vrrp.trackers.check.script.command = [ "/usr/local/check.sh" ], and track = [ "check" ] here'';
    trackScripts = tracking.trackScript;
    tracker = ''track = [ "check" ]'';
    trackers = ''track = [ "check" ]'';
  };

  verbatim = "the keys as options (services.vrrp.settings accepts keys of a later daemon)";
  noGroup = "leave it out: scripts run with the groups of their user";

  # Apply to every kind of tracker.
  trackerWords = {
    extraConfig = verbatim;
    weight = ''it where the tracker is followed: services.vrrp.instances.NAME.track = [ { tracker = "NAME"; weight = -20; } ]'';
  };
  initFail = ''initial = "down"'';

  tracked = {
    TrackedFile.file = ''path = "/run/load"'';
    TrackedInterface.interface = ''name = "eth0"'';
    TrackedProcess = {
      inherit initFail;
      fullCommand = ''commandLine = [ "/usr/local/bin/queue" "--worker" ]'';
      delay = ''upDelay = "3s"'';
      process = ''name = "httpd"'';
      quorum = "atLeast = 2";
      quorumMax = "atMost = 16";
      terminateDelay = ''downDelay = "500ms"'';
    };
    TrackedScript = {
      inherit initFail;
      args = ''command = [ "/usr/local/check.sh" "argument" ]'';
      group = noGroup;
      script = ''command = [ "/usr/local/check.sh" ]'';
    };
    TrackedHttp = { inherit initFail; };
    TrackedPing = {
      inherit initFail;
      address = ''host = "192.168.224.1"'';
    };
    TrackedRoute = { inherit initFail; };
    TrackedTcp = {
      inherit initFail;
      address = ''host = "127.0.0.1"'';
    };
    TrackedUnit = {
      inherit initFail;
      unit = ''name = "httpd.service"'';
    };
  };
in
lib.mapAttrs (_: words: trackerWords // words) tracked
// {
  Config = {
    enableScriptSecurity = "leave it out: scripts never run as root here";
    extraConfig = verbatim;
    extraGlobalDefs = verbatim;
    globalDefs = verbatim;
    secretFile = ''services.vrrp.instances.NAME.authentication.pass.passwordFile = "/run/secrets/vrrp" (version = 2) or .authentication.hmac.keys."1".keyFile'';
    snmp = "leave it out: `vrrpd status --json` shows the state";
    staticIpaddress = "networking.interfaces";
    staticRoutes = "networking.interfaces";
    virtualServers = "services.keepalived for the virtual servers: vrrpd is no load balancer (see lvsSyncInterface)";
    vrrpInstance = "services.vrrp.instances.NAME";
    vrrpInstances = "services.vrrp.instances";
    vrrpScript = ''services.vrrp.trackers.NAME.script.command = [ "/usr/local/check.sh" ]'';
    vrrpScripts = ''services.vrrp.trackers.NAME.script.command = [ "/usr/local/check.sh" ]'';
    vrrpSyncGroup = "services.vrrp.syncGroups.NAME.members";
    vrrpSyncGroups = "services.vrrp.syncGroups";
    vrrpTrackFile = ''services.vrrp.trackers.NAME.file.path = "/run/load"'';
    vrrpTrackProcess = ''services.vrrp.trackers.NAME.process.name = "httpd"'';
  };

  Instance =
    notifications
    # The instance has an option of this name.
    // removeAttrs tracking [ "trackInterface" ]
    // {
      accept = "acceptMode = true";
      addresses = ''virtualAddresses = [ "192.168.224.100/24" ]'';
      advertInt = "advertInterval = 1";
      authPass = ''authentication.pass.passwordFile = "/run/secrets/vrrp"'';
      authType = ''authentication.pass.passwordFile = "/run/secrets/vrrp"'';
      dontTrackPrimary = "trackInterface = false";
      extraConfig = verbatim;
      garpMasterDelay = ''announce.delay = "2s"'';
      garpMasterRefresh = ''announce.refresh = "10m"'';
      garpMasterRepeat = "announce.burst = 3";
      garpInterval = "announce.pace = 200";
      higherPrioSendAdvert = "leave it out: a master that yields always sends a final advertisement";
      lowerPrioNoAdvert = "leave it out: a master always answers a lower priority with an advertisement";
      garpLowerPrioRepeat = "announce.onLowerPriority = true";
      lvsSyncDaemon = ''lvsSyncInterface = "eth2"'';
      lvsSyncDaemonInterface = ''lvsSyncInterface = "eth2"'';
      mcastSrcIp = ''source = "10.0.0.11"'';
      noAccept = "acceptMode = false";
      noPreempt = "preempt = false";
      routerId = "virtualRouterId = 51";
      unicastPeer = ''unicast.peers = [ "192.168.224.12" ]'';
      unicastPeers = ''unicast.peers = [ "192.168.224.12" ]'';
      unicastSrcIp = ''source = "10.0.0.11"'';
      unicastTtl = "unicast.ttl = 64";
      useVmac = "virtualMac = true";
      virtualIp = ''virtualAddresses = [ "192.168.224.100/24" ]'';
      virtualIps = ''virtualAddresses = [ "192.168.224.100/24" ]'';
      virtualIpaddress = ''virtualAddresses = [ "192.168.224.100/24" ]'';
      virtualIpaddressExcluded = ''virtualAddresses = [ { address = "192.168.224.100/24"; advertise = false; } ]'';
      virtualRoutes = ''routes = [ { destination = "10.0.0.0/8"; gateway = "192.168.224.1"; } ]'';
      virtualRules = ''rules = [ { from = "192.168.224.100/32"; table = 100; } ]'';
      vmacInterface = "leave it out: with virtualMac = true the interface is vrrp4.VRID.INTERFACE";
      vmacXmitBase = ''virtualMac.sendFrom = "base"'';
      vrid = "virtualRouterId = 51";
    };

  SyncGroup =
    notifications
    // tracking
    // {
      extraConfig = verbatim;
      group = ''members = [ "VI_1" "VI_2" ]'';
      instances = ''members = [ "VI_1" "VI_2" ]'';
    };

  VirtualAddress = {
    addr = ''address = "192.168.224.100/24"'';
    brd = ''broadcast = "auto"'';
    dev = ''device = "eth0"'';
    interface = ''device = "eth0"'';
    ip = ''address = "192.168.224.100/24"'';
    prefixLength = ''it in the address: address = "192.168.224.100/24"'';
  };

  Follow = {
    name = ''tracker = "check"'';
    script = ''tracker = "check"'';
  };

  Authentication = {
    authPass = ''pass.passwordFile = "/run/secrets/vrrp"'';
    authType = ''pass.passwordFile = "/run/secrets/vrrp"'';
    password = ''pass.passwordFile = "/run/secrets/vrrp"'';
    passwordFile = ''pass.passwordFile = "/run/secrets/vrrp"'';
    type = ''pass.passwordFile = "/run/secrets/vrrp"'';
  };

  Tracker = trackerWords // {
    command = ''script.command = [ "/usr/local/check.sh" ]'';
    fall = "script.fall = 3";
    group = noGroup;
    initFail = ''script.initial = "down"'';
    interval = "script.interval = 2";
    rise = "script.rise = 2";
    timeout = ''script.timeout = "500ms"'';
    user = ''script.user = "nobody"'';
  };

  Route = {
    dev = ''device = "eth1"'';
    dst = ''destination = "10.0.0.0/8"'';
    src = ''source = "192.168.224.100"'';
    via = ''gateway = "192.168.224.1"'';
  };
}
