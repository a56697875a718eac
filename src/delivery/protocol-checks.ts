import { createCheck } from '../json-check.js';
import { DelivererMessageSchema, DelivererRequestSchema } from './schemas.js';

export const isDelivererMessage = createCheck(DelivererMessageSchema);
export const isDelivererRequest = createCheck(DelivererRequestSchema);
