# A value without the members and elements that `isLeftOut` holds for, wherever they stand.
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
