# The units that run check scripts and notification programs for the daemon: `vrrpd scripts`, as another user, so
# that no script has power over the daemon or reads its keys.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vrrp;

  name = "vrrp-scripts";

  # Programs of scripts are behind one path that never changes, so that a new version of a program does not
  # restart the unit. With `path` NixOS would write store paths into the unit.
  programs = lib.toList config.systemd.services.${name}.path;
  isInStore = program: lib.hasPrefix builtins.storeDir (toString program);
  path = pkgs.buildEnv {
    name = "vrrpd-path";
    paths = map lib.getBin (lib.filter isInStore programs);
    pathsToLink = [
      "/bin"
      "/sbin"
    ];
    # The first program of a name is used, as in a PATH.
    ignoreCollisions = true;
  };
  folders = [ "/etc/vrrpd/path" ] ++ lib.filter (program: !isInStore program) programs;

  # Users that the configuration names for scripts and notification programs.
  notified = lib.attrValues cfg.document.instances ++ lib.attrValues cfg.document.syncGroups;
  users = lib.unique (
    lib.filter (user: user != null) (
      map (each: each.notify.user or null) notified
      ++ map (tracker: tracker.script.user or null) (lib.attrValues cfg.document.trackers)
    )
  );

  # Without these a process cannot become another user or kill programs of another user. An empty string is the
  # empty set, and an empty list would be no setting.
  capabilities =
    if users == [ ] then
      ""
    else
      [
        "CAP_KILL"
        "CAP_SETGID"
        "CAP_SETUID"
      ];

  hardening = import ./hardening.nix;
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."vrrpd/path".source = path;

    users.users.${name} = {
      isSystemUser = true;
      group = name;
      description = "Scripts of the VRRP daemon";
    };
    users.groups.${name} = { };

    systemd.sockets.${name} = {
      description = "Requests of the VRRP daemon to run scripts";
      socketConfig = {
        # Not in a directory of the scripts, who could replace the socket.
        ListenStream = "/run/vrrp-scripts.sock";
        SocketUser = "vrrp";
        SocketGroup = "vrrp";
        SocketMode = "0600";
        RemoveOnStop = true;
      };
    };

    systemd.services.${name} = {
      description = "Scripts of the VRRP daemon";
      requires = [ "${name}.socket" ];
      after = [ "${name}.socket" ];
      # No start limit: trackers keep their verdicts until the unit runs again.
      startLimitIntervalSec = 0;
      stopIfChanged = false;

      inherit (cfg) path;
      environment = import ./environment.nix // {
        PATH = lib.mkForce (lib.concatMapStringsSep ":" (folder: "${folder}/bin:${folder}/sbin") folders);
      };

      serviceConfig = hardening // {
        ExecStart = lib.concatStringsSep " " (
          [ "${lib.getExe cfg.package} scripts" ] ++ map (user: "--allow ${user}") users
        );
        StandardInput = "socket";
        StandardOutput = "journal";
        Restart = "always";
        RestartSec = "100ms";

        User = name;
        Group = name;
        # For the files of scripts, which outlive a restart of this unit.
        RuntimeDirectory = name;
        RuntimeDirectoryPreserve = "restart";

        AmbientCapabilities = capabilities;
        CapabilityBoundingSet = capabilities;
        SystemCallFilter = hardening.SystemCallFilter ++ lib.optional (users != [ ]) "@setuid";

        # Not ProtectProc and ProcSubset, because check scripts look for processes and at the load.
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_UNIX"
        ];
      };
    };

    # The daemon runs notification programs when it stops, so this unit stops after it.
    systemd.services.vrrp = {
      wants = [ "${name}.service" ];
      after = [ "${name}.service" ];
    };
  };
}
