// Which socket may call which route.

/** launch.sock is open to everybody on the host, vmsecretd.sock to the operator group, admin.sock to root. */
export type SocketRole = 'launch' | 'operator' | 'admin';

/** What a route asks for: `operator` unless it says otherwise. */
export type Access = 'operator' | 'admin' | 'launch';

const ALLOWED: Record<Access, readonly SocketRole[]> = {
  operator: ['operator', 'admin'],
  admin: ['admin'],
  launch: ['launch'],
};

export function mayCall(role: SocketRole, access: Access): boolean {
  return ALLOWED[access].includes(role);
}
