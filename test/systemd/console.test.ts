// The console of a unit's VM, read by the installed daemon in its own sandbox.
import { test } from 'tap';
import { bootVmHost, PRINTED_SECRET, whyNoVmHost } from './vm-host.js';

test('the console of a unit has what its guest printed since this start, and follows it over the next', {
  skip: whyNoVmHost(),
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    define demo await-power-button; systemctl start microvm@demo
    eventually 'vmsecretctl console demo --no-follow | grep -qxF "${PRINTED_SECRET}"'
    vmsecretctl console demo > /tmp/followed 2>&1 & echo $! > /tmp/follower
    eventually '[ "$(grep -cxF "${PRINTED_SECRET}" /tmp/followed)" = 1 ]'
    systemctl restart microvm@demo
    eventually '[ "$(grep -cxF "${PRINTED_SECRET}" /tmp/followed)" = 2 ]'
    kill "$(cat /tmp/follower)"`);
  t.equal(await host.sh(`console demo | grep -cxF "${PRINTED_SECRET}"`), '2', 'the journal has both starts');
  t.equal(await host.sh(`vmsecretctl console demo --no-follow | grep -cxF "${PRINTED_SECRET}"`), '1');
  t.notMatch(
    await host.sh('vmsecretctl console demo --no-follow'),
    /Started|systemd\[1\]/,
    'nothing of systemd’s own',
  );
});
