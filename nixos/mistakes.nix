# Mistakes of a configuration as values.
#
# A type of NixOS throws at the first value that it refuses, in its own words. The types of words.nix make a
# mistake of that value instead: it stands where the value would, and bears the message. `messages` collects
# them for the assertions, so that all are shown at once, each with the option and the remedy; values that
# are derived from the options leave them out (`isMistake`).
{ lib }:
rec {
  isMistake = value: lib.isAttrs value && value._type or null == "vrrp-mistake";

  # `loc` is the option, as the module system has it.
  mistake = loc: text: {
    _type = "vrrp-mistake";
    message = "${showOption loc} ${text}";
  };

  messages =
    value:
    if isMistake value then
      [ value.message ]
    else if lib.isList value then
      lib.concatMap messages value
    else if lib.isAttrs value && !lib.isDerivation value then
      lib.concatMap messages (lib.attrValues value)
    else
      [ ];

  # A type that takes every value and makes a mistake of those that `type` refuses; `refusal` is the text
  # about such a value.
  reported =
    { type, refusal }:
    type
    // {
      check = _: true;
      # See object.nix.
      getSubModules = null;
      merge =
        loc: defs:
        let
          refused = lib.filter (def: !type.check def.value) defs;
        in
        if refused == [ ] then type.merge loc defs else mistake loc (refusal (lib.head refused).value);
    };

  # The text about a word that is no option, with its replacement.
  insteadOfWord =
    remedy:
    "is no option here: ${
      lib.optionalString (!lib.hasPrefix "leave it out" remedy) "write "
    }${remedy}.";

  # An option as it is written, and an element of a list by its number.
  showOption =
    loc:
    let
      part =
        name:
        let
          element = builtins.match "\\[definition [0-9]+-entry ([0-9]+)[]]" name;
        in
        if element == null then
          ".${lib.showOption [ name ]}"
        else
          "[${toString (lib.toInt (lib.head element) - 1)}]";
    in
    lib.removePrefix "." (lib.concatMapStrings part loc);

  # A value as it is written, in one line, and no deeper than options are.
  show =
    value:
    lib.generators.toPretty { multiline = false; } (
      lib.generators.withRecursion {
        depthLimit = 8;
        throwOnDepthLimit = false;
      } value
    );
}
