# services.vrrp: virtual IP addresses that several hosts share.
#
# This module is complete without the options of options.nix: it reads `settings` alone.
#
#   options.nix     the daemon's words as options, a layer over `settings`
#   document.nix    the content of /etc/vrrpd/config.json
#   assertions.nix  mistakes that evaluation finds
#   service.nix     the unit that runs the daemon
#   polkit.nix      which units it and its check scripts may manage
#   firewall.nix    lets advertisements in
#   devices.nix     keeps DHCP clients off the interfaces of virtual MAC addresses
#   instance.nix    properties of an instance, for the others
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

  inherit (import ./unit-name.nix { inherit lib; }) manageable;

  written = import ./document.nix { inherit lib; } cfg.settings;

  # Definitions by name, with types for the words that this module reads itself: the daemon checks the others,
  # and options.nix describes them all.
  byName =
    words:
    mkOption {
      type = types.attrsOf (object {
        freeformType = anyWords;
        options = lib.mapAttrs (
          _: type:
          mkOption {
            type = types.nullOr type;
            default = null;
            visible = false;
          }
        ) words;
      });
      default = { };
      visible = false;
    };

  object = import ./object.nix { inherit lib; };
  anyWords = types.attrsOf json.type;
in
{
  imports = [
    ./assertions.nix
    ./devices.nix
    ./firewall.nix
    ./polkit.nix
    ./service.nix
  ];

  options.services.vrrp = {
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
        instances, or with `unicast` those of its peers: from every host where a peer is named and not an
        address; and with `lvsSyncInterface` the synchronisation of IPVS connections there (UDP to the group of
        `lvs`). The filter of reverse paths (`networking.firewall.checkReversePath`) lets them pass,
        too, because a `source` may be an address of another interface.
        A host that does not hear them believes that it is alone, and takes the addresses.

        For an interface in a VRF `vrfs` has to name the VRF. With firewalld this opens NixOS's own zone
        (`nixos-fw-default`); in another one the protocol is to be opened there, which evaluation demands.
      '';
    };

    vrfs = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        eth1 = "blue";
      };
      description = ''
        The VRF devices of interfaces that are in one, by interface. The firewall sees packets from `eth1` as
        from `blue` then, and `openFirewall` opens that, too.
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
      default = import ./can-run.nix { inherit (pkgs) stdenv; };
      defaultText = lib.literalMD "true when the building machine can run the program that it builds";
      example = false;
      description = ''
        Whether `vrrpd check` looks at the configuration while the system is built, so that a wrong value
        fails the build with its path.
      '';
    };

    path = mkOption {
      type = types.listOf (types.either types.package types.str);
      default = [ ];
      example = lib.literalExpression "[ pkgs.bash pkgs.curl pkgs.iproute2 ]";
      description = ''
        Packages whose programs check scripts and notifications find by name, beside those that every unit of
        NixOS finds (coreutils, findutils, gnugrep, gnused, systemd); a script that begins with
        `#!/usr/bin/env bash` needs `pkgs.bash`. A change counts for the next run of a
        script, and neither restarts nor reloads the daemon.
      '';
    };

    mayManage = mkOption {
      type = types.listOf manageable;
      default = [ ];
      example = [ "httpd.service" ];
      description = ''
        Units that check scripts may start and restart (`systemctl start httpd`), and nothing else: the
        daemon's user gets this right through polkit. All check scripts run as that user and share it.
        The daemon starts after these units and stops before them, so that it hands over first when
        the host shuts down.
      '';
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = json.type;
        options = {
          instances = byName {
            authentication = anyWords;
            interface = types.str;
            lvs = anyWords;
            lvsSyncInterface = types.str;
            notify = anyWords;
            resources = types.either (types.listOf types.str) anyWords;
            track = types.listOf (types.either types.str anyWords);
            unicast = anyWords;
            version = types.ints.between 2 3;
            virtualAddresses = types.nonEmptyListOf (types.either types.str anyWords);
            virtualMac = types.either types.bool anyWords;
            virtualRouterId = types.ints.between 1 255;
          };
          syncGroups = byName { members = types.listOf types.str; };
          trackers = byName {
            script = anyWords;
            unit = anyWords;
          };
        };
      };
      default = { };
      example = {
        instances.VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          virtualAddresses = [ "192.168.224.100/24" ];
        };
      };
      description = ''
        The configuration as the daemon reads it; `vrrpd schema` describes all words. The options with the
        names of its words end up here; a word without an option, such as one of a later daemon, can be
        written here.
      '';
    };

    document = mkOption {
      type = json.type;
      internal = true;
      visible = false;
      readOnly = true;
      default = written.document;
      description = "The text of /etc/vrrpd/config.json, as a value.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      visible = false;
      readOnly = true;
      default = written.credentials;
      description = "The files with secrets, by the names under which the daemon finds them.";
    };
  };
}
