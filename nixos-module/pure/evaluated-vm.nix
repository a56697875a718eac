# Takes a VM's name and its microvm.vms.NAME, gives its evaluation, however it comes about; null where there is none.
name: vm:
if vm.flake or null != null then
  vm.flake.nixosConfigurations.${name} or (throw "microvm.vms.${name}.flake has no nixosConfigurations.${name}")
else if vm.evaluatedConfig or null != null then
  vm.evaluatedConfig
else
  vm.config or null
