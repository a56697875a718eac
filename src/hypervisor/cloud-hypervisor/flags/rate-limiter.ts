// Rate limits: six keys that become two token buckets, and the groups that disks share.

import type { JsonObject } from '../../exact-json.js';
import { unsigned } from '../option-numbers.js';
import type { KeyRule, OptionTable } from '../option-table.js';
import { text } from '../option-values.js';

const count: KeyRule = { value: unsigned(64), field: null };

export const RATE_LIMITER_KEYS: Readonly<Record<string, KeyRule>> = {
  bw_size: count,
  bw_one_time_burst: count,
  bw_refill_time: count,
  ops_size: count,
  ops_one_time_burst: count,
  ops_refill_time: count,
};

/** A bucket needs a size and a refill time; the program drops one that lacks either, without a word. */
function buildRateLimiter(values: JsonObject): JsonObject | undefined {
  const bandwidth = buildBucket(values, 'bw');
  const ops = buildBucket(values, 'ops');
  if (bandwidth === undefined && ops === undefined) return undefined;
  return { ...(bandwidth && { bandwidth }), ...(ops && { ops }) };
}

function buildBucket(values: JsonObject, prefix: 'bw' | 'ops'): JsonObject | undefined {
  const size = values[`${prefix}_size`];
  const refillTime = values[`${prefix}_refill_time`];
  if (!size || !refillTime) return undefined;
  return { size, one_time_burst: values[`${prefix}_one_time_burst`] ?? 0, refill_time: refillTime };
}

/** For tables whose only special keys are those of the rate limiter. */
export function withRateLimiter(fields: JsonObject, values: JsonObject): JsonObject {
  const limiter = buildRateLimiter(values);
  return limiter === undefined ? fields : { ...fields, rate_limiter_config: limiter };
}

export const rateLimitGroup: OptionTable = {
  keys: { id: { value: text }, ...RATE_LIMITER_KEYS },
  build: ({ fields, values }) => withRateLimiter(fields, values),
};
