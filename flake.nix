{
  description = "VRRP daemon: virtual IP addresses that several hosts share";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      eachSystem =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: f nixpkgs.legacyPackages.${system});

      ownPackages = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};

      vmTests =
        pkgs:
        import ./vm-tests {
          inherit lib pkgs;
          inherit (self.lib) cluster;
          module = self.nixosModules.vrrp;
          inherit (ownPackages pkgs) vrrpd;
        };
    in
    {
      packages = eachSystem (
        pkgs:
        let
          vrrpd = pkgs.callPackage ./nixos/package.nix { tests = vmTests pkgs; };
        in
        {
          default = vrrpd;
          inherit vrrpd;
          vrrp-lab = pkgs.callPackage ./nixos/lab-package.nix { inherit vrrpd; };
          option-docs = pkgs.callPackage ./nixos/option-docs.nix { inherit lib; };
        }
      );

      overlays.default = final: _: {
        vrrpd = final.callPackage ./nixos/package.nix { };
        vrrp-lab = final.callPackage ./nixos/lab-package.nix { };
      };

      nixosModules = {
        default = self.nixosModules.vrrp;
        vrrp.imports = [
          self.nixosModules.settings
          ./nixos/options.nix
        ];
        # services.vrrp.settings only, without an option for each key.
        settings =
          { lib, pkgs, ... }:
          {
            imports = [ ./nixos/module.nix ];
            services.vrrp.package = lib.mkDefault (ownPackages pkgs).vrrpd;
          };
      };

      # One definition for all hosts of a virtual router: a module for each of them.
      lib.cluster = import ./nixos/cluster.nix { inherit lib; };

      # Configuration of the VM test hosts for other distributions, see vm-tests/rendered.nix.
      lib.rendered = lib.mapAttrs (
        _: test:
        lib.mapAttrs (_: import ./vm-tests/rendered.nix { inherit lib; }) (
          # Older test drivers have the configuration in the attribute `config`.
          lib.mapAttrs (_: host: if host ? services then host else host.config) test.nodes
        )
      ) (vmTests nixpkgs.legacyPackages.x86_64-linux);

      # The units of the Debian package, by file name.
      lib.debianUnits = import ./nixos/debian-units.nix {
        inherit lib;
        host =
          (lib.nixosSystem {
            system = "x86_64-linux";
            modules = [
              self.nixosModules.vrrp
              { services.vrrp.enable = true; }
            ];
          }).config;
      };

      checks = eachSystem (
        pkgs:
        {
          package-vrrpd = (ownPackages pkgs).vrrpd;
          package-vrrp-lab = (ownPackages pkgs).vrrp-lab;
          dev-shell = self.devShells.${pkgs.stdenv.hostPlatform.system}.default;
        }
        // import ./nixos/checks.nix {
          inherit lib pkgs self;
          inherit (ownPackages pkgs) vrrpd option-docs;
        }
        // lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") (vmTests pkgs)
      );

      apps = eachSystem (pkgs: {
        # Hosts of both experiments as virtual machines, with a prompt on each.
        lab = {
          type = "app";
          program = "${(vmTests pkgs).dual-nic.driverInteractive}/bin/nixos-test-driver";
          meta.description = "The hosts of both experiments as virtual machines";
        };
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (ownPackages pkgs).vrrpd ];
          packages = [
            pkgs.cargo-insta
            pkgs.clippy
            pkgs.keepalived
            pkgs.rust-analyzer
            pkgs.rustfmt
            pkgs.tshark
            self.formatter.${pkgs.stdenv.hostPlatform.system}
          ];
        };
      });

      formatter = eachSystem (pkgs: import ./nixos/formatter.nix { inherit lib pkgs; });
    };
}
