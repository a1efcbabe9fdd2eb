# Whether the building machine can run the program that it builds.
{ stdenv }:
let
  inherit (stdenv) buildPlatform hostPlatform;
in
# nixpkgs says it itself since 22.05.
(buildPlatform.canExecute or (platform: platform.system == buildPlatform.system)) hostPlatform
