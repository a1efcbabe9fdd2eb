# Mistakes of a configuration as values.
#
# A type of NixOS throws at the first invalid value, with a generic text. The types of words.nix replace an
# invalid value with a mistake instead, which contains the message. `messages` collects the mistakes for the
# assertions, so that all are shown at once, each with the option and the remedy. Values that are derived from
# the options leave the mistakes out (`isMistake`).
{ lib }:
rec {
  isMistake = value: lib.isAttrs value && value._type or null == "vrrp-mistake";

  # `loc` is the path of the option, as the module system passes it to `merge`.
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

  # A type that accepts every value and replaces those that `type` rejects with a mistake; `refusal` returns
  # the text about a rejected value.
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

  # The text about a key that is not an option, with its replacement.
  insteadOfWord =
    remedy:
    "is not an option here: ${
      lib.optionalString (!lib.hasPrefix "leave it out" remedy) "write "
    }${remedy}.";

  # An option as it is written in a configuration, and an element of a list by its index.
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

  # A value as it is written in Nix, in one line, limited to the depth of options.
  show =
    value:
    lib.generators.toPretty { multiline = false; } (
      lib.generators.withRecursion {
        depthLimit = 8;
        throwOnDepthLimit = false;
      } value
    );
}
