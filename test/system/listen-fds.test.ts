import t from 'tap';
import { activatedSockets } from '../../src/system/listen-fds.js';

t.test('maps names to descriptors from 3 on, and takes the variables away', t => {
  const environment = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'vmsecretd:admin', PATH: '/bin' };
  t.strictSame(
    [...activatedSockets(environment, 7)],
    [
      ['vmsecretd', 3],
      ['admin', 4],
    ],
  );
  t.strictSame(environment, { PATH: '/bin' });
  t.end();
});

t.test('gives nothing when nothing was passed to this process', t => {
  t.equal(activatedSockets({}, 7).size, 0);
  t.equal(activatedSockets({ LISTEN_PID: '8', LISTEN_FDS: '1', LISTEN_FDNAMES: 'admin' }, 7).size, 0);
  t.end();
});

t.test('refuses sockets that have no name of their own', t => {
  const refused = (names: string | undefined): void => {
    t.throws(
      () => activatedSockets({ LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: names }, 7),
      { code: 'resource_conflict', message: /FileDescriptorName=/ },
      `with the names ${names}`,
    );
  };
  refused('admin:admin');
  refused('admin');
  refused(undefined);
  t.end();
});
