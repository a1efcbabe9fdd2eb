# Names of systemd units, as NixOS accepts them in the options of units (`after` and others). NixOS would stop
# the evaluation at any other name before the message of this module is shown.
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
  # A unit that a check script may start and restart: any but the unit of the daemon that runs the script.
  manageable = types.addCheck types.str (name: isUnitName name && name != own) // {
    description = "full name of a unit, such as \"httpd.service\"";
  };

  # Messages about a value that is not a unit name, and about one that is not a list.
  refusal =
    bad:
    if bad == own then
      "is the daemon that runs the script, which must not restart it: remove it."
    else
      "is ${show bad}, which is not a unit name: write the full name, such as \"httpd.service\".";
  refusalOfList = bad: "is ${show bad}, which is not a list: write [ ${show bad} ].";
}
