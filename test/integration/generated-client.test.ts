// A client that is generated from openapi.json compiles, and drives a VM: examples/drive-vm.ts.
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { spawnNode } from '../setup/spawn-node.js';
import { daemonTest } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

const VMM = CLOUD_HYPERVISOR.skip ? STAND_IN : CLOUD_HYPERVISOR;
const options = { config: { hypervisors: VMM.hypervisors } };

/** @returns what is wrong with it */
function compile(program: string, outDir: string): string[] {
  const compilation = ts.createProgram([program], {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    types: ['node'],
    outDir,
  });
  const { diagnostics } = compilation.emit();
  return [...ts.getPreEmitDiagnostics(compilation), ...diagnostics].map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, '\n'),
  );
}

daemonTest('a client generated from openapi.json compiles and drives a VM', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(VMM, rig, 'web');
  const file = join(daemon.folder, 'definition.json');
  writeFileSync(file, JSON.stringify(definition));
  // In the project, where packages are found.
  const folder = mkdtempSync(join(PROJECT_ROOT, 'dist', 'generated-client-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const openApi = JSON.parse(readFileSync(join(PROJECT_ROOT, 'dist/bundle/openapi.json'), 'utf8'));
  writeFileSync(join(folder, 'api.d.ts'), astToString(await openapiTS(openApi)));
  const source = join(folder, 'drive-vm.ts');
  copyFileSync(join(PROJECT_ROOT, 'examples/drive-vm.ts'), source);
  t.strictSame(compile(source, folder), []);
  const child = spawnNode([join(folder, 'drive-vm.js'), daemon.socket('admin'), 'db', file]);
  const [printed, said, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  t.equal(said, '');
  t.equal(status, 0);
  t.equal(printed, '201 /v1/vms/db\nrunning\nstopped\n204\nvm_unknown\n');
  writeFileSync(source, readFileSync(source, 'utf8').replace("=== 'failed'", "=== 'faild'"));
  t.match(compile(source, folder), [/no overlap/], 'a state that is none does not compile');
});
