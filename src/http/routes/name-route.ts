/** A route with a VM's name in its path. */
export interface NameRoute {
  Params: { name: string };
}
