# Whether the machine that builds can run what it builds, as it does where it is of the same kind.
{ stdenv }:
let
  inherit (stdenv) buildPlatform hostPlatform;
in
# nixpkgs says it itself since 22.05.
(buildPlatform.canExecute or (platform: platform.system == buildPlatform.system)) hostPlatform
