import {
  CheckReportSchema,
  CommandSchema,
  PathsSchema,
  RefusalSchema,
  ReloadSchema,
  VersionSchema,
  VmListSchema,
  VmSchema,
} from '../http/schemas.js';
import { createTolerantCheck } from '../json-check.js';

export const isRefusal = createTolerantCheck(RefusalSchema);
export const isReload = createTolerantCheck(ReloadSchema);
export const isVm = createTolerantCheck(VmSchema);
export const isVmList = createTolerantCheck(VmListSchema);
export const isCheckReport = createTolerantCheck(CheckReportSchema);
export const isCommand = createTolerantCheck(CommandSchema);
export const isVersion = createTolerantCheck(VersionSchema);
export const isPaths = createTolerantCheck(PathsSchema);
