# services.vrrp: virtual IP addresses that several hosts share.
#
# This module is complete without the options of options.nix: it reads `settings` only.
#
#   options.nix     the keys of the daemon's configuration as options, a layer over `settings`
#   document.nix    the content of /etc/vrrpd/config.json
#   assertions.nix  mistakes that evaluation finds
#   service.nix     the unit that runs the daemon
#   scripts.nix     the units that run its scripts, as another user
#   polkit.nix      the units that the daemon and its check scripts may manage
#   exporter.nix    metrics for Prometheus
#   firewall.nix    rules that accept advertisements
#   devices.nix     keeps DHCP clients off the interfaces of virtual MAC addresses
#   instance.nix    properties of an instance, for the other files
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

  # Definitions by name, with types for the keys that this module reads itself. The daemon checks the other
  # keys, and options.nix describes all of them.
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
    ./exporter.nix
    ./firewall.nix
    ./polkit.nix
    ./scripts.nix
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
        Whether to accept advertisements (IP protocol 112 to 224.0.0.18 or ff02::12) on the interfaces of the
        instances. With `unicast` the firewall accepts them from the peers only, or from every host if a peer is
        given by name. With `lvsSyncInterface` it also accepts the synchronisation of IPVS connections on that
        interface (UDP to the group of `lvs`). The reverse path filter (`networking.firewall.checkReversePath`)
        lets these packets pass too, because a `source` may be an address of another interface. A host that
        receives no advertisements takes over the addresses, unless it sees them arrive at the interface (`trustWire`).

        For an interface in a VRF, set `vrfs`. With firewalld this option opens the zone of NixOS
        (`nixos-fw-default`); another zone has to allow the protocol `vrrp` itself, which an assertion checks.
      '';
    };

    vrfs = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        eth1 = "blue";
      };
      description = ''
        VRF devices by the interfaces that belong to them. In the example the firewall sees packets from `eth1`
        as packets from `blue`, so `openFirewall` accepts them from `blue` as well.
      '';
    };

    realtime = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the protocol thread of the daemon runs with real-time priority (`SCHED_FIFO`), which limits the
        delay of its timers on a busy host. Recommended for intervals below 100 ms. Check scripts do not inherit
        the priority.
      '';
    };

    checkConfig = mkOption {
      type = types.bool;
      default = import ./can-run.nix { inherit (pkgs) stdenv; };
      defaultText = lib.literalMD "true if the build machine can run the daemon that it builds";
      example = false;
      description = ''
        Whether `vrrpd check` validates the configuration when the system is built, so that an invalid value
        fails the build with its path.
      '';
    };

    path = mkOption {
      type = types.listOf (types.either types.package types.str);
      default = [ ];
      example = lib.literalExpression "[ pkgs.bash pkgs.curl pkgs.iproute2 ]";
      description = ''
        Packages in the `PATH` of check scripts and notification programs, in addition to those of every NixOS
        unit (coreutils, findutils, gnugrep, gnused, systemd). A script that begins with `#!/usr/bin/env bash`
        needs `pkgs.bash`. A change takes effect at the next run of a script and neither restarts nor reloads
        the daemon.
      '';
    };

    mayManage = mkOption {
      type = types.listOf manageable;
      default = [ ];
      example = [ "httpd.service" ];
      description = ''
        Units that check scripts may start and restart (`systemctl start httpd`), by a polkit rule for the user
        `vrrp-scripts`. All scripts without a `user` run as that user, so the rule applies to each of them. The daemon starts
        after these units and stops before them, so that it hands over the addresses first when the host shuts
        down.
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
            virtualAddresses = types.listOf (types.either types.str anyWords);
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
        The configuration as the daemon reads it; `vrrpd schema` prints its JSON Schema. The other options write
        their values here. A key without an option, such as one of a later daemon, can be set here directly.
      '';
    };

    document = mkOption {
      type = json.type;
      internal = true;
      visible = false;
      readOnly = true;
      default = written.document;
      description = "Content of /etc/vrrpd/config.json, as a value.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      visible = false;
      readOnly = true;
      default = written.credentials;
      description = "Files with secrets, by the names of their credentials.";
    };
  };
}
