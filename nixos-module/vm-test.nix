# A NixOS host with vmsecretd in a test VM. A VM of the daemon's own (QEMU without KVM, so that it runs everywhere) gets a secret from
# an age file, and microvm@demo, of the shape microvm.nix has, is refused by hand, by a missing secret, and runs where /dev/kvm is.
{ lib, pkgs, ... }:
let
  canary = "canary-3f1c9a";

  # The guest: prints what SMBIOS brought it and powers off.
  guest = pkgs.makeInitrd {
    contents = [
      {
        symlink = "/init";
        object = pkgs.writeScript "init" ''
          #!${pkgs.pkgsStatic.busybox}/bin/sh
          PATH=${pkgs.pkgsStatic.busybox}/bin
          mkdir -p /proc /sys
          mount -t proc none /proc
          mount -t sysfs none /sys
          strings /sys/firmware/dmi/tables/DMI | grep io.systemd.credential
          echo GUEST-DONE
          poweroff -f
        '';
      }
    ];
  };
  kernel = "${pkgs.linuxPackages.kernel.dev}/vmlinux";
  bzImage = "${pkgs.linuxPackages.kernel}/bzImage";

  # Its own key pair: made in the test VM, never in the store.
  key = "/var/lib/test-identity";

  launcher = (import ./lib.nix).mkLauncher {
    inherit pkgs;
    name = "demo";
  };
  microvmRun = pkgs.writeShellScript "microvm-run" ''
    exec -a microvm@demo ${launcher}/bin/cloud-hypervisor --cpus boot=1 --memory size=256M --kernel ${kernel} \
      --initramfs ${guest}/initrd --cmdline 'console=ttyS0 panic=-1' --console null --serial tty \
      --platform 'oem_strings=[io.systemd.credential:STATIC=still-here]' --api-socket demo.sock
  '';
in
{
  name = "vmsecretd";

  nodes.host = {
    imports = [ ./. ];
    virtualisation = {
      cores = 2;
      memorySize = 2048;
      qemu.options = [ "-cpu max" ];
    };
    environment.systemPackages = [ pkgs.age ];
    users.users.alice.isNormalUser = true;

    services.vmsecretd = {
      enable = true;
      operators = [ "alice" ];
      identityPaths = [ key ];
      settings.hypervisors.qemu.path = "${pkgs.qemu}/bin/qemu-system-x86_64";
      vms.small = {
        hypervisor = "qemu";
        delivery = "fifo";
        supervisor = "daemon";
        restart = "no";
        command = [
          "-machine"
          "q35,accel=tcg"
          "-m"
          "256"
          "-nographic"
          "-kernel"
          bzImage
          "-initrd"
          "${guest}/initrd"
          "-append"
          "console=ttyS0 panic=-1"
        ];
        credentials.API_KEY.age = "/var/lib/test-secrets/api-key.age";
      };
      vms.demo = {
        supervisor = "unit";
        credentials.API_KEY.age = "/var/lib/test-secrets/api-key.age";
      };
    };

    systemd.services."microvm@demo" = {
      overrideStrategy = "asDropin";
      serviceConfig = {
        ExecStart = [
          ""
          microvmRun
        ];
        Restart = lib.mkForce "no";
      };
    };
  };

  testScript = ''
    import base64

    canary = "${canary}"
    encoded = base64.b64encode(canary.encode()).decode()

    host.wait_for_unit("vmsecretd.service")
    host.succeed("age-keygen -o ${key} && chmod 0400 ${key} && mkdir -p /var/lib/test-secrets")

    with subtest("a missing secret fails the unit, and its journal names the file"):
        host.fail("systemctl start microvm@demo")
        host.succeed("systemctl is-active vmsecretd-ready.target")
        host.wait_until_succeeds("journalctl -u microvm@demo | grep api-key.age")
        host.succeed("systemctl reset-failed microvm@demo")

    host.succeed(
        f"printf %s {canary} | age -r $(age-keygen -y ${key}) >/var/lib/test-secrets/api-key.age"
    )

    with subtest("a VM of the daemon gets its secret"):
        host.succeed("vmsecretctl start small")
        host.wait_until_succeeds(f"vmsecretctl console --no-follow small | grep -F {encoded}", timeout=300)

    with subtest("an operator may list and start, and not define"):
        host.succeed("su alice -c 'vmsecretctl list' | grep small")
        host.fail("su alice -c 'curl --unix-socket /run/vmsecretd/admin.sock http://x/v1/vms'")

    with subtest("microvm-run by hand is refused and says what to do"):
        output = host.fail("cd /tmp && ${microvmRun} 2>&1")
        assert "systemctl start microvm@demo" in output, output

    if host.execute("test -w /dev/kvm")[0] == 0:
        with subtest("microvm@demo runs with its secret and its static string"):
            host.succeed("systemctl start microvm@demo")
            host.wait_until_succeeds(f"journalctl -u microvm@demo | grep -F {encoded}", timeout=120)
            host.succeed("journalctl -u microvm@demo | grep STATIC=still-here")
    else:
        host.log("no /dev/kvm: microvm@demo is not started")

    with subtest("the secret is in no definition, log of the daemon or command line"):
        # What the guest printed is its console's, and this guest prints its secret.
        host.fail(f"grep -rF --exclude='*console.log' -e {canary} -e {encoded} /etc/vmsecretd/ /var/lib/vmsecretd /run/vmsecretd")
        host.fail(f"journalctl -u vmsecretd | grep -F -e {canary} -e {encoded}")
        host.fail(f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -v grep | grep -F oem_strings | grep -F {encoded}")
  '';
}
