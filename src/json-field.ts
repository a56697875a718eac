/** What JSON has under a key; undefined where it is no object, or has no such key. */
export function fieldOf(json: unknown, key: string): unknown {
  return typeof json === 'object' && json !== null ? Reflect.get(json, key) : undefined;
}
