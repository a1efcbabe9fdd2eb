# Whether the build machine can run the program that it builds.
{ stdenv }:
let
  inherit (stdenv) buildPlatform hostPlatform;
in
# A function of nixpkgs since 22.05.
(buildPlatform.canExecute or (platform: platform.system == buildPlatform.system)) hostPlatform
