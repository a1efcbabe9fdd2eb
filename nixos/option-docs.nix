# The reference of all options as one page: docs/options.md. Made by evaluation alone, so that it
# can be compared without a build.
{
  lib,
  pkgs,
  writeText,
}:
let
  evaluated = lib.evalModules {
    modules = [
      ./module.nix
      ./options.nix
      {
        _module.check = false;
        _module.args = { inherit pkgs; };
      }
    ];
  };

  options = lib.filter (option: option.visible && !option.internal) (
    lib.optionAttrSetToDocList { services.vrrp = evaluated.options.services.vrrp; }
  );

  # One line where it is short, a block where it is long.
  code =
    label: value:
    if value._type == "literalMD" then
      "*${label}:* ${value.text}\n"
    else if lib.hasInfix "\n" (lib.trim value.text) then
      "*${label}:*\n\n${
        lib.concatMapStrings (line: "    ${line}\n") (lib.splitString "\n" (lib.trim value.text))
      }"
    else
      "*${label}:* `${lib.trim value.text}`\n";

  # An option that may be left out says its default, which is the daemon's, in its description.
  isLeftOut = option: lib.hasPrefix "null or " option.type;

  type =
    option:
    let
      inside = builtins.match "null or \\((.*)\\)" option.type;
    in
    if inside != null then lib.head inside else lib.removePrefix "null or " option.type;

  section =
    option:
    lib.concatStringsSep "\n" (
      [
        "## ${option.name}\n"
        "${lib.trim option.description}\n"
        "*Type:* ${type option}\n"
      ]
      ++ lib.optional (option ? default && !isLeftOut option) (code "Default" option.default)
      ++ lib.optional (option ? example) (code "Example" option.example)
    );

  text = ''
    # Options of services.vrrp

    Made from the module by `nix build .#option-docs`; not to be edited. The words below `instances` and
    `trackers` are those of the daemon's configuration, and `vrrpd schema` tells them, too. What is not
    set is not written to it, so that the daemon's default counts.

    ${lib.concatMapStringsSep "\n" section (lib.sort (a: b: a.name < b.name) options)}'';
in
writeText "options.md" text
// {
  inherit text options;
}
