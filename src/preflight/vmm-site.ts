// Where and as whom a VMM will run: what decides whether it finds and may use what it needs of the host.
import { readFile } from 'node:fs/promises';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { type Access, accessAs, type WantedAccess } from '../system/access-as.js';
import { resolveUser, type UserIds } from '../system/users.js';
import type { UnitSite } from '../vm/start-vm.js';
import type { Vm } from '../vm/vm.js';

export type { WantedAccess };

export interface VmmSite {
  vm: string;
  program: string;
  workingDirectory: string;
  /** A folder that is made for the VMM before it runs. */
  ownFolder: string;
  /** Who the VMM runs as; undefined for the daemon's own user. */
  user: UserIds | undefined;
  /** As in "may not be read by the user of the VMM (microvm)". */
  userName: string;
  /** As ip tuntap takes it. */
  userArgument: string;
  /** Whether the VMM has the daemon's view of files, devices and network; a unit has its own. */
  hasOurView: boolean;
  /** The network namespace by name; null for the host's. */
  networkNamespace: string | null;
  /** Root's VMM makes a tap that is missing. */
  isRoot: boolean;
  /** What runs before the VMM and may make what is missing now; undefined where nothing does. */
  preparedBy: string | undefined;
  /** What makes sockets that are missing now; undefined where nothing but `preparedBy` does. */
  makesSockets: string | undefined;
  /** What else may keep a file out, to follow "namei -l PATH shows which folder or file keeps it out". */
  sandboxHint: string;
  /** What the VMM may do; all `unknown` where nobody can tell. */
  access(wanted: readonly WantedAccess[]): Promise<Access[]>;
  /** Whether its network has this interface; undefined where nobody can tell. */
  hasInterface(name: string): Promise<boolean | undefined>;
}

export interface SiteOptions {
  plan: VmPlan;
  /** The unit that is to run the VMM; undefined where systemd does not tell. */
  unit?: UnitSite | undefined;
  /** What the unit may do; undefined where it starts, since its VMM tells by itself then. */
  accessInUnit?: VmmSite['access'] | undefined;
  /** As the daemon would spawn it, where the definition says nothing. */
  user: string | undefined;
  group: string | undefined;
}

/** @throws VmsecretdError definition_invalid: no such user */
export async function describeSite({ definition, paths }: Vm, options: SiteOptions): Promise<VmmSite> {
  const { plan, unit, accessInUnit } = options;
  const { vm, program } = plan;
  if (definition.supervisor === 'unit') {
    const { unit: unitName } = definition;
    const networkNamespace = unit?.networkNamespace ?? null;
    const access: VmmSite['access'] = async wanted => accessInUnit?.(wanted) ?? wanted.map(() => 'unknown');
    return {
      vm,
      program,
      workingDirectory: unit?.workingDirectory ?? definition.workingDirectory ?? '/',
      ownFolder: paths.directory,
      user: undefined,
      userName: `the user of ${unitName}${unit?.user === undefined ? '' : ` (${unit.user})`}`,
      userArgument: unit?.user ?? 'USER',
      hasOurView: false,
      networkNamespace,
      isRoot: unit?.uid === 0,
      preparedBy: undefined,
      makesSockets: accessInUnit === undefined ? undefined : `a unit that ${unitName} requires`,
      sandboxHint: `, and systemctl cat ${unitName} what its sandbox hides (ProtectHome=, ReadWritePaths=, DeviceAllow=)`,
      access,
      hasInterface: async name => {
        if (networkNamespace !== null) return undefined;
        const [answer] = await access([{ path: `/sys/class/net/${name}`, mode: 'read' }]);
        return answer === 'unknown' ? undefined : answer === 'allowed';
      },
    };
  }
  const name = definition.user ?? options.user;
  const user = await resolveUser(vm, name, definition.group ?? options.group);
  return {
    vm,
    program,
    workingDirectory: definition.workingDirectory ?? paths.directory,
    ownFolder: paths.directory,
    user,
    userName: name === undefined ? 'the user of vmsecretd, which is its VMM’s' : `its VMM’s user ${name}`,
    userArgument: name ?? String(process.getuid?.() ?? 'USER'),
    hasOurView: true,
    networkNamespace: null,
    isRoot: (user?.uid ?? process.getuid?.()) === 0,
    preparedBy: definition.preStart.length > 0 ? 'preStart' : undefined,
    makesSockets: undefined,
    sandboxHint: '',
    access: wanted => accessAs(user, wanted),
    hasInterface: async name => {
      const text = await readFile('/proc/self/net/dev', 'utf8').catch(() => undefined);
      return text?.split('\n').some(line => line.trimStart().startsWith(`${name}:`));
    },
  };
}
