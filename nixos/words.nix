# The words of the daemon's configuration as options.
#
# Their meaning, ranges and kinds are said once, in daemon/config/src/model.rs. The JSON Schema
# that comes of it is read here, so that a new word of the daemon is an option without a line of
# Nix. What the schema cannot tell is handed in: `examples`, what is particular under this module
# (`remarks`), and the module's own options of a definition (`additions`), which the daemon never
# sees. All go by the names of the schema's definitions.
{
  lib,
  # Type of everything that has no option of its own: new keys pass through to the daemon.
  freeformType,
  examples ? import ./examples.nix { inherit lib; },
  additions ? { },
  remarks ? { },
}:
let
  inherit (lib) mkOption types;

  schema = lib.importJSON ../daemon/config/schema.json;

  nameOf = value: lib.removePrefix "#/$defs/" value."$ref";

  # What a value refers to, with what is said at the place of the reference.
  resolve = value: if value ? "$ref" then schema."$defs".${nameOf value} // value else value;

  exampleOf =
    word: examples.${word} or (throw "nixos/examples.nix has no example of ${word}: add one");

  # What the schema says, what each choice means, and what is particular here.
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

  # Whether it is one of several texts, each with a meaning of its own.
  isChoice = value: value ? oneOf && lib.all (choice: choice ? const) value.oneOf;

  # Several kinds, such as a text or an object. nixpkgs' own type keeps to itself what the words of
  # the object mean.
  anyOf =
    kinds:
    types.oneOf kinds
    // {
      getSubOptions = prefix: lib.mergeAttrsList (map (kind: kind.getSubOptions prefix) kinds);
    };

  # `name` is that of the definition in which `value` stands.
  typeOf =
    name: value:
    if value ? "$ref" then
      typeOf (nameOf value) schema."$defs".${nameOf value}
    else if value ? const then
      types.enum [ value.const ]
    else if value ? enum then
      types.enum value.enum
    else if isChoice value then
      types.enum (lib.catAttrs "const" value.oneOf)
    else if value ? oneOf then
      types.attrTag (lib.mergeAttrsList (map (tag name) value.oneOf))
    else if value ? anyOf then
      anyOf (map (typeOf name) value.anyOf)
    else
      {
        array = (if value ? minItems then types.nonEmptyListOf else types.listOf) (typeOf name value.items);
        boolean = types.bool;
        integer =
          if value ? minimum && value ? maximum then
            types.ints.between value.minimum value.maximum
          else
            types.int;
        number = types.numbers.nonnegative;
        object = objectOf name value;
        string = types.str;
      }
      .${value.type};

  objectOf =
    name: value:
    if value ? properties then
      types.submodule {
        inherit freeformType;
        options = optionsOf name value // additions.${name} or { };
      }
    else
      types.attrsOf (typeOf name value.additionalProperties);

  # One of the kinds of a sum type: an object with one key.
  tag =
    name: variant:
    lib.mapAttrs (
      key: value:
      mkOption {
        type = typeOf name value;
        description = describe "${name}.${key}" (variant // value);
        example = exampleOf "${name}.${key}";
      }
    ) variant.properties;

  optionsOf =
    name: object:
    lib.mapAttrs (
      key: value:
      let
        type = typeOf name value;
        description = describe "${name}.${key}" value;
        example = exampleOf "${name}.${key}";
      in
      if lib.elem key object.required or [ ] then
        mkOption { inherit type description example; }
      else if value ? additionalProperties then
        mkOption {
          inherit type description example;
          default = { };
        }
      else
        # Unset is left out of the file: the default is the daemon's.
        mkOption {
          type = types.nullOr type;
          default = null;
          inherit description example;
        }
    ) object.properties;
in
optionsOf schema.title schema
