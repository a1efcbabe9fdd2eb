# A set of words as a type: a submodule that is written as a set, or as a function that gives one. That of
# nixpkgs takes a text, too, for the path of a file of Nix code.
{ lib }:
module:
let
  base = lib.types.submoduleWith {
    description = "attribute set";
    shorthandOnlyDefinesConfig = true;
    modules = [ module ];
  };
in
base
// {
  check = value: lib.isAttrs value && !lib.isDerivation value || lib.isFunction value;
  # Otherwise the module system would make another type of the modules.
  getSubModules = null;
  merge = loc: defs: base.merge loc defs;
}
