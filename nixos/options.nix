# The keys of the daemon's configuration as options: a layer over `services.vrrp.settings` (module.nix) with
# types, descriptions, and a message for each mistake.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  cfg = config.services.vrrp;

  mistakes = import ./mistakes.nix { inherit lib; };
  unitNames = import ./unit-name.nix { inherit lib; };

  words = import ./words.nix {
    inherit lib;
    additions.TrackedScript.mayManage = mkOption {
      type = mistakes.reported {
        type = types.listOf (
          mistakes.reported {
            type = unitNames.manageable;
            inherit (unitNames) refusal;
          }
        );
        refusal = unitNames.refusalOfList;
      };
      default = [ ];
      example = [ "httpd.service" ];
      description = ''
        Units that the script may start and restart, as in `services.vrrp.mayManage`. This option exists in the
        NixOS module only and is not written to the configuration.
      '';
    };
    remarks = {
      "HmacKey.keyFile" = ''
        A file with an absolute path may be readable by root only: systemd passes it to the daemon at its start
        (`LoadCredential=`), so a changed key takes effect after `systemctl restart vrrp`, not after a reload.
      '';
      "Instance.virtualMac" = ''
        Packets to the addresses arrive on the macvlan interface, while replies leave through the interface below it.
        Therefore the default of `networking.firewall.checkReversePath` becomes "loose", and ports that
        `networking.firewall.interfaces` opens have to be opened for the macvlan interface too.
      '';
      "Instance.lvsSyncInterface" = "This module loads ip_vs at boot (`boot.kernelModules`).";
      "Notify.user" = ''
        The module allows the unit `vrrp-scripts` to run programs as this user, for which the unit gets the capabilities
        CAP_KILL, CAP_SETGID and CAP_SETUID. Instead of a notification as root, for a task at the change to master, define
        a separate unit and list it in `resources`: the unit can be limited as any other.

            systemd.services.attach-address.serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              ExecStart = "/usr/local/attach-address.sh";
              ExecStop = "/usr/local/detach-address.sh";
            };
            services.vrrp.instances.VI_1.resources = [ "attach-address.service" ];
      '';
      "Pass.passwordFile" = ''
        A file with an absolute path may be readable by root only: systemd passes it to the daemon at its start
        (`LoadCredential=`), so a changed password takes effect after `systemctl restart vrrp`, not after a reload.
      '';
      "Instance.resources" = ''
        A polkit rule allows the user of the daemon to start and stop these units and the target, and no others.
        Leave `wantedBy` of the units empty. systemd stops the daemon after 90 s: with a longer `stopTimeout`, raise
        `systemd.services.vrrp.serviceConfig.TimeoutStopSec` as well.
      '';
      "TrackedUnit.restart" =
        "A polkit rule allows the user of the daemon to start this unit, and no others.";
      "TrackedScript.command" = ''
        Paths (`./check.sh`) and packages are accepted too. The programs of `services.vrrp.path` are in the script's
        `PATH`.
      '';
      "TrackedScript.user" = ''
        The module allows the unit `vrrp-scripts` to run programs as this user, for which the unit gets the capabilities
        CAP_KILL, CAP_SETGID and CAP_SETUID. Instead of a check as root, define a separate unit that the script may start:

            systemd.services.look.serviceConfig = {
              Type = "oneshot";
              ExecStart = "/usr/local/look-as-root.sh";
            };
            services.vrrp.trackers.look.script = {
              command = [ "/run/current-system/sw/bin/systemctl" "start" "look.service" ];
              mayManage = [ "look.service" ];
            };
      '';
    };
  };

  # Top-level keywords of keepalived, in the spellings of its file and of nixpkgs. Without these hidden
  # options NixOS would only report that they do not exist.
  foreign =
    lib.concatMapAttrs (word: remedy: lib.genAttrs [ word (snakeCase word) ] (_: remedy))
      (import ./foreign.nix { inherit lib; }).Config;
  snakeCase = lib.stringAsChars (
    letter: if lib.toLower letter == letter then letter else "_${lib.toLower letter}"
  );
  foreignMistakes = lib.concatLists (
    lib.mapAttrsToList (
      word: remedy:
      lib.optional (cfg.${word} != null) "services.vrrp.${word} ${mistakes.insteadOfWord remedy}"
    ) foreign
  );

  given = lib.mapAttrs (word: _: cfg.${word}) words;

  # Without unset options, so that they can still be set in `settings`.
  settings = import ./without.nix { inherit lib; } (
    value: value == null || mistakes.isMistake value
  ) given;

  # Without the options that exist in this module only.
  forDaemon =
    tracker:
    if tracker ? script then
      tracker // { script = removeAttrs tracker.script [ "mayManage" ]; }
    else
      tracker;
in
{
  options.services.vrrp =
    words
    // lib.mapAttrs (
      _: _:
      mkOption {
        type = types.anything;
        default = null;
        internal = true;
        visible = false;
      }
    ) foreign;

  config.services.vrrp = {
    settings = settings // {
      trackers = lib.mapAttrs (_: forDaemon) settings.trackers;
    };
    mayManage = lib.concatMap (tracker: tracker.script.mayManage or [ ]) (
      lib.attrValues settings.trackers
    );
  };

  config.assertions = lib.mkIf cfg.enable (
    map (message: {
      assertion = false;
      inherit message;
    }) (foreignMistakes ++ mistakes.messages given)
  );
}
