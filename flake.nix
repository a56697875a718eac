{
  description = "vmsecretd: starts cloud-hypervisor VMs with their age secrets, and keeps the secrets nowhere else";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      # cloud-hypervisor hands OEM strings over on x86_64 only.
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
    in
    {
      packages.${system} = {
        default = self.packages.${system}.vmsecretd;
        vmsecretd = pkgs.callPackage ./nixos-module/package.nix { };
        vmsecretd-launch = self.packages.${system}.vmsecretd.launch;
      };

      overlays.default = final: _: {
        vmsecretd = final.callPackage ./nixos-module/package.nix { };
      };

      nixosModules = {
        default = ./nixos-module; # the host: services.vmsecretd
        microvm = ./nixos-module/microvm.nix; # a VM of microvm.nix that brings its own evaluation
        guest = ./nixos-module/guest.nix; # inside a VM: credentials at paths, and in Kubernetes
      };

      lib = import ./nixos-module/lib.nix;

      checks.${system} = {
        inherit (self.packages.${system}) vmsecretd;
        inherit (self.packages.${system}.vmsecretd.tests) vm;
      };

      devShells.${system}.default = pkgs.mkShell {
        packages = [
          pkgs.age
          pkgs.cloud-hypervisor
          pkgs.nixfmt-tree
          pkgs.nodejs
          pkgs.openssh
        ];
      };

      formatter.${system} = pkgs.nixfmt-tree;
    };
}
