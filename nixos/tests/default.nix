{ evalHost, lib, ... }: { hosts = lib.mapAttrs (_: m: (evalHost m).config) (import ./hosts.nix); }
