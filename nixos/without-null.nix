# What is unset is left out, wherever it stands.
{ lib }:
let
  withoutNull =
    value:
    if lib.isList value then
      map withoutNull value
    else if lib.isAttrs value && !lib.isDerivation value then
      lib.mapAttrs (_: withoutNull) (lib.filterAttrs (_: member: member != null) value)
    else
      value;
in
withoutNull
