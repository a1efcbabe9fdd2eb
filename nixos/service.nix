# The unit. A changed configuration reloads it, a changed package restarts it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vrrp;

  vrrpd = lib.getExe cfg.package;

  unchecked = (pkgs.formats.json { }).generate "vrrpd.json" cfg.document;

  # Secrets are on the host that runs it, not here.
  checked = pkgs.runCommand "vrrpd-checked.json" { } ''
    if ! ${vrrpd} check --without-secrets ${unchecked}; then
      echo 'The paths above are options of services.vrrp, as in services.vrrp.instances.NAME.priority.' >&2
      exit 1
    fi
    cp ${unchecked} $out
  '';

  configuration = if cfg.checkConfig then checked else unchecked;

  # Programs that scripts find by name stand behind one path that never changes, so that another version of one
  # does not restart the daemon. Of `path` NixOS makes store paths in the unit.
  programs = lib.toList config.systemd.services.vrrp.path;
  isInStore = program: lib.hasPrefix builtins.storeDir (toString program);
  path = pkgs.buildEnv {
    name = "vrrpd-path";
    paths = map lib.getBin (lib.filter isInStore programs);
    pathsToLink = [
      "/bin"
      "/sbin"
    ];
    # The first one counts, as everywhere in a path.
    ignoreCollisions = true;
  };
  folders = [ "/etc/vrrpd/path" ] ++ lib.filter (program: !isInStore program) programs;

  instances = lib.attrValues cfg.document.instances;
  inherit (import ./instance.nix { inherit lib; }) hasVirtualMac resources;
  refuses = instance: !(instance.acceptMode or true);
  synchronises = instance: instance ? lvsSyncInterface;

  # Addresses and nf_tables are changed with the one, raw sockets opened with the other.
  capabilities = [
    "CAP_NET_ADMIN"
    "CAP_NET_RAW"
  ];
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."vrrpd/config.json".source = configuration;
    environment.etc."vrrpd/path".source = path;
    environment.systemPackages = [ cfg.package ];

    # The target that stands for an instance's being master.
    systemd.packages = lib.optional (lib.any (each: resources each != null) instances) cfg.package;

    # The kernel loads them for the daemon, unless that is locked (security.lockKernelModules).
    boot.kernelModules =
      lib.optional (lib.any refuses instances) "nf_tables"
      ++ lib.optional (lib.any hasVirtualMac instances) "macvlan"
      ++ lib.optional (lib.any synchronises instances) "ip_vs";

    users.users.vrrp = {
      isSystemUser = true;
      group = "vrrp";
      description = "VRRP daemon";
    };
    users.groups.vrrp = { };

    systemd.services.vrrp = {
      description = "VRRP daemon";
      documentation = [ "https://www.rfc-editor.org/rfc/rfc9568" ];
      wantedBy = [ "multi-user.target" ];
      # Not network-online.target: the daemon waits for its interfaces itself. The order counts at
      # shutdown, when the addresses are handed over before the network goes.
      wants = [ "network.target" ];
      after = [ "network.target" ];
      # It never gives up, see RestartSteps.
      startLimitIntervalSec = 0;

      reloadTriggers = [ configuration ];
      # Restarts in one step: the gap is shorter.
      stopIfChanged = false;

      inherit (cfg) path;
      environment = {
        PATH = lib.mkForce (lib.concatMapStringsSep ":" (folder: "${folder}/bin:${folder}/sbin") folders);
        # As paths that do not change with the packages behind them.
        LOCALE_ARCHIVE = "/run/current-system/sw/lib/locale/locale-archive";
        TZDIR = "/etc/zoneinfo";
      };

      serviceConfig = {
        Type = "notify-reload";
        ExecStart = "${vrrpd} run";
        # No address stays behind, whatever the daemon died of.
        ExecStopPost = "${vrrpd} cleanup";
        WatchdogSec = "5s";
        # Notifications that run when the daemon stops are not killed. It tells systemd itself how long it waits
        # for them, beyond any TimeoutStopSec.
        KillMode = "mixed";

        Restart = "always";
        RestartSec = "100ms";
        RestartSteps = 6;
        RestartMaxDelaySec = "10s";
        # A wrong configuration does not get better by itself.
        RestartPreventExitStatus = 2;

        User = "vrrp";
        Group = "vrrp";
        RuntimeDirectory = "vrrpd";
        # Every user may ask for the status.
        RuntimeDirectoryMode = "0755";
        LoadCredential = lib.mapAttrsToList (
          name: path: "${name}:${lib.replaceStrings [ "%" ] [ "%%" ] path}"
        ) cfg.credentials;

        AmbientCapabilities = capabilities;
        CapabilityBoundingSet = capabilities;
        NoNewPrivileges = true;

        DevicePolicy = "closed";
        KeyringMode = "private";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        PrivateDevices = true;
        PrivateMounts = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        # Not ProtectProc and ProcSubset: check scripts look for processes and at the load.
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_PACKET"
          # Journal, notifications, the control socket, and systemd's bus.
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
          "~@resources"
        ];
        UMask = "0077";
      }
      // lib.optionalAttrs cfg.realtime {
        CPUSchedulingPolicy = "fifo";
        CPUSchedulingPriority = 10;
        # Its other threads and all scripts are ordinary again.
        CPUSchedulingResetOnFork = true;
      };
    };
  };
}
