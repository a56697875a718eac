# Every key of a definition's JSON, with its type and what it means: the NixOS options are made of this table, and a test holds
# it against src/definition/schema.ts. `forMicrovm`: means something where microvm.nix runs the VM.
let
  command = "command line, as a list or as one string split as a POSIX shell would";
in
{
  command = {
    type = "command";
    description = "The hypervisor's complete ${command}.";
  };
  vmConfig = {
    type = "json";
    description = "cloud-hypervisor's own VmConfig JSON, in place of `command`.";
  };
  workingDirectory = {
    type = "string";
    description = "Where the VMM runs; unset: the VM's runtime directory.";
  };
  oemStrings = {
    type = "strings";
    forMicrovm = true;
    description = "SMBIOS type 11 strings that are no secrets.";
  };
  credentials = {
    type = "credentials";
    forMicrovm = true;
    description = "Credential name → where its value comes from.";
  };
  hypervisor = {
    type = [
      "cloud-hypervisor"
      "qemu"
    ];
    description = "The VMM.";
  };
  delivery = {
    type = [
      "api"
      "cmdline"
      "fifo"
    ];
    description = "How OEM strings reach the VMM. `cmdline` shows every secret to every user of the host.";
  };
  supervisor = {
    type = [
      "daemon"
      "unit"
    ];
    description = "Who runs the VMM: a systemd unit, or the daemon.";
  };
  unit = {
    type = "string";
    description = "The systemd unit; unset: `microvm@NAME.service`.";
  };
  user = {
    type = "string";
    description = "User of a VMM that the daemon spawns.";
  };
  group = {
    type = "string";
    description = "Group of a VMM that the daemon spawns.";
  };
  identities = {
    type = "paths";
    forMicrovm = true;
    description = "Identity files for this VM, in place of `services.vmsecretd.identityPaths`.";
  };
  preStart = {
    type = "commands";
    description = "Each a ${command}; run before the VMM, as its user, in its working directory.";
  };
  autostart = {
    type = "boolean";
    description = "Whether the VM starts with the host.";
  };
  restart = {
    type = [
      "no"
      "on-failure"
      "always"
    ];
    description = "For supervisor `daemon`; a unit has its own `Restart=`.";
  };
  ready = {
    type = [
      "boot"
      "notify"
      "receipt"
    ];
    forMicrovm = true;
    description = "When the VM counts as ready: booted, the guest's READY=1, or its receipt of the credentials.";
  };
  onChange = {
    type = [
      "report"
      "restart"
    ];
    forMicrovm = true;
    description = "What happens when the definition or a secret changes while the VM runs.";
  };
  startTimeoutSeconds = {
    type = "seconds";
    forMicrovm = true;
    description = "How long a start may take.";
  };
  stopTimeoutSeconds = {
    type = "seconds";
    forMicrovm = true;
    description = "How long the guest has to power off.";
  };
}
