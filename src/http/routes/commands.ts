// What a start would do: the command line and VM config with secrets left out, a check, and free conversion.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { VmsecretdError } from '../../errors.js';
import { parseRelease, type Release, viewConversion } from '../../hypervisor/conversion.js';
import { type JsonObject, stringifyExactly } from '../../hypervisor/exact-json.js';
import type { CommandView } from '../../hypervisor/hypervisor.js';
import type { CheckReport } from '../../preflight/check-vm.js';
import type { Vm } from '../../vm/vm.js';
import type { Vms } from '../../vm/vms.js';
import { CheckReportSchema, CommandSchema, ConversionSchema, ConvertBody, NameParams } from '../schemas.js';
import type { NameRoute } from './name-route.js';

export interface CommandTools {
  vms: Vms;
  checkVm(vm: Vm, isForRoot: boolean): Promise<CheckReport>;
  showCommand(vm: Vm): Promise<CommandView>;
  /** Of the cloud-hypervisor that VMs run on. */
  installedRelease(): Promise<Release>;
}

interface ConvertRoute {
  Body: { command: string | string[]; release?: string };
}

export function addCommandRoutes(app: FastifyInstance, tools: CommandTools): void {
  const { vms, checkVm, showCommand, installedRelease } = tools;
  app.get<NameRoute>(
    '/v1/vms/:name/command',
    {
      schema: {
        summary: 'The command line and VM config, secrets shown as <NAME: size>',
        params: NameParams,
        response: { 200: CommandSchema },
      },
    },
    async (request, reply) => {
      const { command, vmConfig, arguments: args } = await showCommand(vms.get(request.params.name).vm);
      return sendJson(reply, { command, arguments: args, vmConfig });
    },
  );

  app.post<NameRoute>(
    '/v1/vms/:name/check',
    {
      config: { crowd: 'check' },
      schema: {
        summary: 'A start without the start',
        params: NameParams,
        response: { 200: CheckReportSchema },
      },
    },
    async request => checkVm(vms.get(request.params.name).vm, request.isRoot),
  );

  app.post<ConvertRoute>(
    '/v1/convert',
    {
      schema: {
        summary: 'Convert a cloud-hypervisor command line to its VM config',
        body: ConvertBody,
        response: { 200: ConversionSchema },
      },
    },
    async (request, reply) => {
      const { command, release: wanted } = request.body;
      const release = wanted === undefined ? await installedRelease() : parseRelease(wanted);
      if (release === undefined) throw noRelease(wanted);
      return sendJson(reply, viewConversion(command, release));
    },
  );
}

function noRelease(text = ''): VmsecretdError {
  return new VmsecretdError(
    'request_invalid',
    `release: ${JSON.stringify(text.slice(0, 40))} is none of cloud-hypervisor: write 52, 52.0 or 54-dev`,
  );
}

/** A VM config holds numbers beyond 2^53, which only its own writer keeps. */
function sendJson(reply: FastifyReply, json: JsonObject): FastifyReply {
  return reply.type('application/json').send(stringifyExactly(json));
}
