# services.vrrp: virtual IP addresses that several hosts share.
#
#   words.nix       the options that are the daemon's own words
#   document.nix    what of them is written to /etc/vrrpd/config.json
#   assertions.nix  what evaluation can know to be wrong
#   service.nix     the unit that runs the daemon
#   polkit.nix      which units it and its check scripts may manage
#   firewall.nix    lets advertisements in
#   instance.nix    what the others have to know of an instance
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.vrrp;

  json = pkgs.formats.json { };

  words = import ./words.nix {
    inherit lib;
    freeformType = json.type;
    additions.TrackedScript.mayManage = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "httpd.service" ];
      description = ''
        Units that the script may start and restart (`systemctl start httpd`), and nothing else: the
        daemon's user gets this right through polkit. All check scripts run as that user and share it.
        The daemon starts after these units and stops before them, so that it hands over first when
        the host shuts down. This option is the module's own and not written to the configuration.
      '';
    };
    remarks = {
      "HmacKey.keyFile" = ''
        An absolute path need be readable by root only: systemd hands the file to the daemon when it
        starts, so a key in another file counts after `systemctl restart vrrp`, not after a reload.
      '';
      "Instance.virtualMac" = ''
        What is sent to the addresses comes in on that interface, while the way back is by the one below:
        so `networking.firewall.checkReversePath` is "loose" by default, and what
        `networking.firewall.interfaces` opens has to be opened for that interface, too.
      '';
      "Instance.lvsSyncInterface" = "This module has ip_vs loaded (`boot.kernelModules`).";
      "Notify.user" = "The unit of this module does not run as root: this cannot be set here.";
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
      "TrackedScript.user" = "The unit of this module does not run as root: this cannot be set here.";
    };
  };

  written = import ./document.nix { inherit lib; } cfg.settings;

  # What is the module's own does not reach the daemon.
  forDaemon =
    tracker:
    if tracker ? script then
      tracker // { script = removeAttrs tracker.script [ "mayManage" ]; }
    else
      tracker;
in
{
  imports = [
    ./assertions.nix
    ./firewall.nix
    ./polkit.nix
    ./service.nix
  ];

  options.services.vrrp = words // {
    enable =
      lib.mkEnableOption "vrrpd, a VRRP daemon: virtual IP addresses that several hosts share"
      // {
        example = true;
      };

    package = lib.mkPackageOption pkgs "vrrpd" { example = "pkgs.vrrpd"; };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether to let advertisements (IP protocol 112 to 224.0.0.18 or ff02::12) in on the interfaces of the
        instances, or with `unicast` those of its peers: of anybody where a peer is named and not an address;
        and with `lvsSyncInterface` what other hosts tell of their connections there (UDP to the group of `lvs`).
        A host that does not hear them believes that it is alone, and takes the addresses.
      '';
    };

    realtime = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the thread that keeps time runs before all ordinary ones (`SCHED_FIFO`), which bounds its
        lateness on a busy host. Recommended for intervals below 100 ms. Check scripts do not inherit it.
      '';
    };

    checkConfig = mkOption {
      type = types.bool;
      default = pkgs.stdenv.buildPlatform.system == pkgs.stdenv.hostPlatform.system;
      defaultText = lib.literalMD "true when the machine that builds can run what it builds";
      example = false;
      description = ''
        Whether `vrrpd check` looks at the configuration while the system is built, so that a wrong value
        fails the build with its path.
      '';
    };

    settings = mkOption {
      type = types.submodule { freeformType = json.type; };
      default = { };
      example = {
        instances.VI_1.priority = 150;
      };
      description = ''
        The configuration as the daemon reads it. The options for its words end up here; what has no
        option can be written here. `vrrpd schema` tells all words.
      '';
    };

    document = mkOption {
      type = json.type;
      internal = true;
      readOnly = true;
      default = written.document;
      description = "What is written to /etc/vrrpd/config.json.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      readOnly = true;
      default = written.credentials;
      description = "The password files, by the names under which the daemon finds them.";
    };
  };

  # Without what is unset, so that it can still be set in `settings`.
  config.services.vrrp.settings = import ./without-null.nix { inherit lib; } (
    lib.mapAttrs (word: _: cfg.${word}) words
    // {
      trackers = lib.mapAttrs (_: forDaemon) cfg.trackers;
    }
  );
}
