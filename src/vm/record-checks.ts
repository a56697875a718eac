import { createCheck } from '../json-check.js';
import { RecordSchema, UnversionedRecordSchema } from './record-schema.js';

export const isRecord = createCheck(RecordSchema);
export const isUnversionedRecord = createCheck(UnversionedRecordSchema);
