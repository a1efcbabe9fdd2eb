# Names of systemd's units, as NixOS takes them in the options of units (`after` and others): a name that
# it refuses there would stop the evaluation before our own message is shown.
{ lib }:
let
  inherit (lib) types;

  kinds = [
    "mount"
    "path"
    "service"
    "slice"
    "socket"
    "target"
    "timer"
  ];

  isUnitName =
    name: builtins.match "[a-zA-Z0-9@%:_.\\-]+\\.(${lib.concatStringsSep "|" kinds})" name != null;

  own = "vrrp.service";

  inherit (import ./mistakes.nix { inherit lib; }) show;
in
{
  # A unit that a check script may start and restart: any but the daemon that runs it.
  manageable = types.addCheck types.str (name: isUnitName name && name != own) // {
    description = "name of a unit in full, such as \"httpd.service\"";
  };

  # The texts about a value that is none, and about one that is no list of them.
  refusal =
    bad:
    if bad == own then
      "is the daemon that runs the script, which must not restart it: take it out."
    else
      "is ${show bad}, which is no name of a unit: write it in full, such as \"httpd.service\".";
  refusalOfList = bad: "is ${show bad}, which is no list: write [ ${show bad} ].";
}
