# A value without the members and elements for which `isLeftOut` is true, at every depth.
{ lib }:
isLeftOut:
let
  without =
    value:
    if lib.isList value then
      map without (lib.filter (element: !isLeftOut element) value)
    else if lib.isAttrs value && !lib.isDerivation value then
      lib.mapAttrs (_: without) (lib.filterAttrs (_: member: !isLeftOut member) value)
    else
      value;
in
without
