# NixOS options generated from the keys of the daemon's configuration.
#
# Meaning, ranges and types of the keys are defined in daemon/config/src/model.rs. This file reads the JSON
# Schema that is generated from it, so that a new key of the daemon becomes an option without a line of Nix.
# What the schema lacks are arguments of this function: `examples`, remarks about this module (`remarks`), and
# options that exist in the module only and never reach the daemon (`additions`). All of them are looked up by
# the names of the schema's definitions.
#
# The types are strict. A value of a wrong type, an unknown key and a missing key become a mistake with a
# message (mistakes.nix).
{
  lib,
  examples ? import ./examples.nix { inherit lib; },
  foreign ? import ./foreign.nix { inherit lib; },
  additions ? { },
  remarks ? { },
}:
let
  inherit (lib) mkOption types;

  mistakes = import ./mistakes.nix { inherit lib; };
  object = import ./object.nix { inherit lib; };

  schema = lib.importJSON ../daemon/config/schema.json;

  nameOf = value: lib.removePrefix "#/$defs/" value."$ref";

  # The definition that a value refers to, merged with the keys beside the reference.
  resolve = value: if value ? "$ref" then schema."$defs".${nameOf value} // value else value;

  exampleOf =
    word: examples.${word} or (throw "nixos/examples.nix has no example of ${word}: add one");

  # The description from the schema, the meaning of each choice, and the remark of this module.
  describe =
    word: value:
    let
      resolved = resolve value;
      choices = lib.optionals (isChoice resolved) (
        map (choice: "- `${choice.const}`: ${choice.description}") resolved.oneOf
      );
    in
    lib.concatStringsSep "\n\n" (
      [ resolved.description ]
      ++ lib.optional (choices != [ ]) (lib.concatStringsSep "\n" choices)
      ++ lib.optional (remarks ? ${word}) remarks.${word}
    );

  # Whether the value is one of several strings that have a description each.
  isChoice = value: value ? oneOf && lib.all (choice: choice ? const) value.oneOf;

  # Keys whose value is a program with its arguments: they also accept paths and packages.
  programs = [
    "Notify.any"
    "Notify.backup"
    "Notify.contested"
    "Notify.fault"
    "Notify.master"
    "Notify.stop"
    "TrackedScript.command"
  ];

  # The keys of an object, each with `isProgram`.
  wordsOf =
    name: object:
    lib.mapAttrs (
      key: value: value // { isProgram = lib.elem "${name}.${key}" programs; }
    ) object.properties;

  isFile = value: builtins.isPath value || lib.isDerivation value;
  program =
    types.coercedTo (types.addCheck types.raw isFile) (
      file: if lib.isDerivation file then lib.getExe file else "${file}"
    ) types.str
    // {
      description = "string, path or package";
    };
  argument = mistakes.reported {
    type = program;
    refusal = bad: "is ${mistakes.show bad}, but its type is ${program.description}.";
  };

  # A value of one of several types, such as a string or an object, distinguished by their checks.
  anyOf =
    kinds:
    let
      takes = defs: kind: lib.all (def: kind.check def.value) defs;
    in
    types.oneOf kinds
    // {
      check = value: lib.any (kind: kind.check value) kinds;
      # The type of nixpkgs does not expose the options of the object to the documentation.
      getSubOptions = prefix: lib.mergeAttrsList (map (kind: kind.getSubOptions prefix) kinds);
      getSubModules = null;
      merge =
        loc: defs:
        (lib.findFirst (takes defs) { merge = lib.options.mergeEqualOption; } kinds).merge loc defs;
    };

  # The type of `value`, which is in the definition `name`, with `example` as one of its values or null.
  # Elements and members report their own mistakes.
  typeOf =
    name: value: example:
    if value ? "$ref" then
      typeOf (nameOf value) schema."$defs".${nameOf value} example
    else if value ? const then
      types.enum [ value.const ]
    else if value ? enum then
      types.enum value.enum
    else if isChoice value then
      types.enum (lib.catAttrs "const" value.oneOf)
    else if value ? oneOf then
      unionOf name value
    else if value ? anyOf then
      anyOf (map (kind: typeOf name kind example) value.anyOf)
    else
      {
        array = (if value ? minItems then types.nonEmptyListOf else types.listOf) (
          if value.isProgram or false then argument else partOf name value.items example
        );
        boolean = types.bool;
        integer =
          if value ? minimum && value ? maximum then
            types.ints.between value.minimum value.maximum
          else
            types.int;
        number = types.numbers.nonnegative;
        object =
          if value ? properties then
            objectOf name (optionsOf name value)
          else
            types.attrsOf (partOf name value.additionalProperties example);
        string = types.str;
      }
      .${value.type};

  # The type of a list element, or of a member with any name, of which `example` is one.
  partOf =
    name: value: example:
    let
      parts =
        if lib.isList example then
          example
        else if lib.isAttrs example && !example ? _type then
          lib.attrValues example
        else
          [ ];
    in
    reportedOf name value (if parts == [ ] then null else lib.head parts);

  # A type that reports a mistake. The remedy is a replacement for the value if one can be inferred, else
  # `example`.
  reportedOf =
    name: value: example:
    let
      type = typeOf name value example;
    in
    mistakes.reported {
      inherit type;
      refusal =
        bad:
        let
          better = instead name value bad;
          written =
            if better != null then
              ": write ${better}"
            else if example != null then
              ": write for example ${showExample example}"
            else
              "";
        in
        if bad == null then
          "is not set${written}."
        else
          "is ${mistakes.show bad}, but its type is ${type.description}${written}.";
    };

  showExample =
    example:
    if example._type or null == "literalExpression" then
      lib.trim example.text
    else if lib.isList example then
      mistakes.show (lib.take 1 example)
    else
      mistakes.show example;

  # The replacement for a value of the wrong type, as text, or null if it cannot be inferred.
  instead =
    name: value: bad:
    let
      resolved = resolve value;
      inside = if value ? "$ref" then nameOf value else name;
      fits = (typeOf name value null).check;
      required = resolved.required or [ ];
      word = lib.head required;
      arguments = lib.filter (part: part != "") (lib.splitString " " bad);
      insideWord = instead inside (wordsOf inside resolved).${word} bad;
      insideElement = instead inside resolved.items bad;
    in
    if lib.isAttrs bad && !lib.isDerivation bad || bad == null then
      null
    else if resolved.isProgram or false && lib.isString bad then
      "[ ${lib.concatMapStringsSep " " mistakes.show arguments} ]"
    else if resolved.isProgram or false && isFile bad then
      "[ ${mistakes.show bad} ]"
    # A string of several words is probably the value of more than one option.
    else if lib.isString bad && lib.hasInfix " " bad && !resolved ? properties then
      null
    else if fits bad then
      mistakes.show bad
    else if resolved ? anyOf then
      lib.findFirst (text: text != null) null (map (kind: instead inside kind bad) resolved.anyOf)
    else if lib.isString bad && fits (lib.toLower bad) then
      mistakes.show (lib.toLower bad)
    else if lib.isString bad && builtins.match "[0-9]+" bad != null && fits (lib.toInt bad) then
      bad
    else if resolved ? items && !lib.isList bad && insideElement != null then
      "[ ${insideElement} ]"
    else if resolved ? properties && lib.length required == 1 && insideWord != null then
      "{ ${word} = ${insideWord}; }"
    else
      null;

  # An attribute set with these options; any other key is a mistake.
  objectOf =
    name: options:
    object {
      inherit options;
      freeformType = types.attrsOf (unknownWord name (lib.attrNames options));
    };

  # An attribute set with exactly one of several options.
  unionOf =
    name: value:
    let
      options = lib.mergeAttrsList (map (variantOf name) value.oneOf);
      words = lib.attrNames options;
      judge =
        loc: given:
        let
          present = lib.filter (word: given.${word} != null) words;
        in
        if lib.length present > 1 then
          mistakes.mistake loc "has ${lib.concatStringsSep " and " present}: keep one of them."
        else if present == [ ] && mistakes.messages given == [ ] then
          mistakes.mistake loc "is empty: write one of ${lib.concatStringsSep ", " words}."
        else
          given;
      base = objectOf name options;
    in
    base
    // {
      description = "attribute set with one of: ${lib.concatStringsSep ", " words}";
      merge = loc: defs: judge loc (base.merge loc defs);
    };

  variantOf =
    name: variant:
    lib.mapAttrs (
      key: value: optional name key value { description = describe "${name}.${key}" (variant // value); }
    ) variant.properties;

  # The type of every key that is not an option.
  unknownWord =
    name: words:
    let
      # Ignores how a name is joined, so that the spellings of keepalived and of nixpkgs' module match.
      plain = word: lib.toLower (lib.replaceStrings [ "_" "-" ] [ "" "" ] word);
      theirs = lib.mapAttrs' (word: lib.nameValuePair (plain word)) foreign.${name} or { };
      isNear = word: other: lib.strings.levenshteinAtMost 2 (plain word) (plain other);
      remedy =
        word:
        let
          near = lib.filter (isNear word) words;
          same = lib.filter (other: plain word == plain other) words;
        in
        if same != [ ] then
          mistakes.insteadOfWord (lib.head same)
        else if theirs ? ${plain word} then
          mistakes.insteadOfWord theirs.${plain word}
        else if near != [ ] then
          "is not an option: did you mean ${lib.concatStringsSep " or " near}?"
        else
          "is not an option: the options here are ${lib.concatStringsSep ", " words}.";
    in
    lib.mkOptionType {
      name = "unknown word";
      merge = loc: _defs: mistakes.mistake loc (remedy (lib.last loc));
    };

  # An option that may be left out: an unset one is not written to the file, and the daemon uses its default.
  optional =
    name: key: value: declaration:
    let
      example = exampleOf "${name}.${key}";
    in
    mkOption (
      {
        type = types.nullOr (reportedOf name value example);
        default = null;
        inherit example;
      }
      // declaration
    );

  optionsOf =
    name: object:
    lib.mapAttrs (
      key: value:
      let
        description = describe "${name}.${key}" value;
        example = exampleOf "${name}.${key}";
        type = reportedOf name value example;
      in
      if lib.elem key object.required or [ ] then
        # Null by default, so that a missing value is a mistake with a message instead of an evaluation error.
        mkOption {
          inherit type description example;
          default = null;
          defaultText = lib.literalMD "none: required";
        }
      else if value ? additionalProperties then
        mkOption {
          inherit type description example;
          default = { };
        }
      else
        optional name key value { inherit description; }
    ) (wordsOf name object)
    // additions.${name} or { };
in
optionsOf schema.title schema
