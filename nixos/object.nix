# An attribute set with options as a type: a submodule that is written as a set, or as a function that returns
# one. The submodule of nixpkgs also accepts a string, as the path of a Nix file.
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
  # Otherwise the module system would build another type from the modules.
  getSubModules = null;
  merge = loc: defs: base.merge loc defs;
}
