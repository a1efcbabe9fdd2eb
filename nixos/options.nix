# The daemon's words as options: the comfortable layer over `services.vrrp.settings` (module.nix), with types,
# descriptions, and a message for each mistake.
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
        Units that the script may start and restart, as `services.vrrp.mayManage`. This option is the module's
        own and not written to the configuration.
      '';
    };
    remarks = {
      "HmacKey.keyFile" = ''
        An absolute path need be readable by root only: systemd hands the file to the daemon when it
        starts, so a key in another file counts after `systemctl restart vrrp`, not after a reload.
      '';
      "Instance.virtualMac" = ''
        Packets to the addresses come in on that interface, while the way back is by the one below: so
        `networking.firewall.checkReversePath` is "loose" by default, and ports that
        `networking.firewall.interfaces` opens have to be opened for that interface, too.
      '';
      "Instance.lvsSyncInterface" = "This module has ip_vs loaded (`boot.kernelModules`).";
      "Notify.user" = ''
        The unit of this module does not run as root: this cannot be set here. A task of root when an instance
        becomes master is a unit of its own, which `resources` names:

            systemd.services.attach-address.serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              ExecStart = "/usr/local/attach-address.sh";
              ExecStop = "/usr/local/detach-address.sh";
            };
            services.vrrp.instances.VI_1.resources = [ "attach-address.service" ];
      '';
      "Pass.passwordFile" = ''
        An absolute path need be readable by root only: systemd hands the file to the daemon when it
        starts, so a changed password counts after `systemctl restart vrrp`, not after a reload.
      '';
      "Instance.resources" = ''
        The daemon's user gets the right to start and stop exactly these units and the target through polkit.
        Their own `wantedBy` is to be empty. The unit of this module stops within 90 s: where `stopTimeout` is
        longer, so has `systemd.services.vrrp.serviceConfig.TimeoutStopSec` to be.
      '';
      "TrackedUnit.restart" =
        "The daemon's user gets the right to start exactly this unit through polkit.";
      "TrackedScript.command" = ''
        Paths (`./check.sh`) and packages are taken, too. The script finds the programs of `services.vrrp.path`.
      '';
      "TrackedScript.user" = ''
        The unit of this module does not run as root: this cannot be set here. A check that has to run as root is
        a unit of its own, which the script may start:

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

  # Words of keepalived that NixOS would only say do not exist, as its file and as nixpkgs write them.
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

  # Without unset words, so that they can still be set in `settings`.
  settings = import ./without.nix { inherit lib; } (
    value: value == null || mistakes.isMistake value
  ) given;

  # The module's own words do not reach the daemon.
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
