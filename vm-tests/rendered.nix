# Renders the NixOS configuration of a host for other distributions: configuration, unit and scripts
# of the daemon, interfaces, firewall and web server, without paths of the Nix store.
#
#   ../shared/nix-eval/run --eval lib.rendered       or: nix eval --json .#lib.rendered
{ lib }:
# Evaluated configuration of one host.
host:
let
  cfg = host.services.vrrp;
  inherit (host.networking) firewall;

  programs = "/usr/local/lib/vrrp";
  daemon = "/usr/local/sbin/vrrpd";

  # Check scripts from the store, by their path on other distributions.
  scripts = lib.listToAttrs (
    lib.concatMap (
      tracker:
      map (path: lib.nameValuePair "${programs}/${nameOf path}" (builtins.readFile path)) (
        lib.filter (lib.hasPrefix builtins.storeDir) (tracker.script.command or [ ])
      )
    ) (lib.attrValues cfg.document.trackers)
  );

  # Base name of a store path without the hash.
  nameOf = path: builtins.unsafeDiscardStringContext (lib.substring 33 (-1) (baseNameOf path));

  elsewhere =
    path: if lib.hasPrefix builtins.storeDir path then "${programs}/${nameOf path}" else path;

  tracker =
    value:
    if value ? script then
      {
        script = value.script // {
          command = map elsewhere value.script.command;
        };
      }
    else
      value;

  # Environment lines are omitted: their paths are in the store.
  unit =
    name:
    builtins.unsafeDiscardStringContext (
      lib.replaceStrings [ (lib.getExe cfg.package) ] [ daemon ] (
        lib.concatStringsSep "\n" (
          lib.filter (line: !lib.hasPrefix "Environment=" line) (
            lib.splitString "\n" host.systemd.units.${name}.text
          )
        )
      )
    );
in
{
  daemon =
    if cfg.enable then
      {
        config = cfg.document // {
          trackers = lib.mapAttrs (_: tracker) cfg.document.trackers;
        };
        units = lib.genAttrs [ "vrrp-scripts.service" "vrrp-scripts.socket" "vrrp.service" ] unit;
        inherit (host.systemd.services.vrrp) wantedBy;
        inherit scripts;
        polkit = lib.optionalString host.security.polkit.enable host.security.polkit.extraConfig;
      }
    else
      null;

  interfaces = lib.mapAttrs (name: { vlan, ... }: {
    inherit vlan;
    addresses =
      let
        inherit (host.networking.interfaces.${name}) ipv4 ipv6;
      in
      map (each: "${each.address}/${toString each.prefixLength}") (ipv4.addresses ++ ipv6.addresses);
  }) host.virtualisation.interfaces;

  # Files that a test defines: passwords, and the page of the web server.
  files = lib.mapAttrs' (name: file: lib.nameValuePair "/etc/${name}" { inherit (file) text mode; }) (
    lib.filterAttrs (name: _: name == "vrrp-password" || lib.hasPrefix "www/" name) host.environment.etc
  );
  httpd = host.services.httpd.enable;
  # The kernel loads all other modules on demand.
  modules = lib.intersectLists [ "ip_vs" ] host.boot.kernelModules;

  keepalived =
    if host.services.keepalived.enable then
      lib.mapAttrs (_: instance: {
        inherit (instance)
          interface
          virtualRouterId
          priority
          extraConfig
          ;
        addresses = map (each: each.addr) instance.virtualIps;
      }) host.services.keepalived.vrrpInstances
    else
      null;

  firewall = {
    nftables = host.networking.nftables.enable;
    tcpPorts = firewall.allowedTCPPorts;
    inherit (firewall) extraInputRules;
    looseReversePath = firewall.checkReversePath == "loose";
    # Commands of other NixOS modules are omitted, and those of the reverse path filter: the guests have no
    # chain for it.
    extraCommands = lib.filter (lib.hasInfix " -w -A nixos-fw -i ") (
      lib.splitString "\n" firewall.extraCommands
    );
  };
}
