# What the module makes of a host, for hosts that are no NixOS: the same configuration, unit and
# scripts, without paths of the Nix store.
#
#   ../shared/nix-eval/run --eval lib.rendered       or: nix eval --json .#lib.rendered
{ lib }:
# A host's evaluated configuration.
host:
let
  cfg = host.services.vrrp;

  programs = "/usr/local/lib/vrrp";
  daemon = "/usr/local/sbin/vrrpd";

  # The check scripts that come from the store, by what they are called elsewhere.
  scripts = lib.listToAttrs (
    lib.concatMap (
      tracker:
      map (path: lib.nameValuePair "${programs}/${nameOf path}" (builtins.readFile path)) (
        lib.filter (lib.hasPrefix builtins.storeDir) (tracker.script.command or [ ])
      )
    ) (lib.attrValues cfg.document.trackers)
  );

  # Without the hash.
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

  # The environment is NixOS's own: its paths are in the store.
  unit = lib.replaceStrings [ (lib.getExe cfg.package) ] [ daemon ] (
    lib.concatStringsSep "\n" (
      lib.filter (line: !lib.hasPrefix "Environment=" line) (
        lib.splitString "\n" host.systemd.units."vrrp.service".text
      )
    )
  );
in
{
  config = cfg.document // {
    trackers = lib.mapAttrs (_: tracker) cfg.document.trackers;
  };
  unit = builtins.unsafeDiscardStringContext unit;
  inherit scripts;
  polkit = lib.optionalString host.security.polkit.enable host.security.polkit.extraConfig;
  interfaces = lib.mapAttrs (
    _: interface: map (each: "${each.address}/${toString each.prefixLength}") interface.ipv4.addresses
  ) (lib.filterAttrs (name: _: name != "lo") host.networking.interfaces);
}
