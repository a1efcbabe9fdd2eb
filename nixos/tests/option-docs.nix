# Checks that docs/options.md is up to date and that every option has a description and an example.
{
  lib,
  option-docs,
  pkgs,
}:
let
  incomplete = lib.filter (
    option: option.description or null == null || !option ? example
  ) option-docs.options;
in
if builtins.readFile ../../docs/options.md != option-docs.text then
  throw "docs/options.md is stale: nix build .#option-docs && cp --no-preserve=mode result docs/options.md"
else if incomplete != [ ] then
  throw "options without description or example: ${
    lib.concatMapStringsSep ", " (option: option.name) incomplete
  }"
else
  pkgs.writeText "vrrp-option-docs-are-current" ""
