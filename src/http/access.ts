// Which socket may call which route.

/** vmsecretd.sock is for the operator group, admin.sock for root. */
export type SocketRole = 'operator' | 'admin';

/** What a route asks for: `operator` unless it says otherwise. */
export type Access = SocketRole;

export function mayCall(role: SocketRole, access: Access): boolean {
  return role === 'admin' || access === 'operator';
}
