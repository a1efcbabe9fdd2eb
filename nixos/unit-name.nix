# Names of systemd's units, as NixOS takes them in the options of units (`after` and others): a name that
# it refuses there would stop the evaluation before our own message is shown.
{ lib }:
let
  kinds = [
    "mount"
    "path"
    "service"
    "slice"
    "socket"
    "target"
    "timer"
  ];
in
{
  isUnitName =
    name:
    lib.isString name
    && builtins.match "[a-zA-Z0-9@%:_.\\-]+\\.(${lib.concatStringsSep "|" kinds})" name != null;
}
