// What a sops file says of itself: who can open its data key, what of it is encrypted, and its MAC.
import { damaged, SopsFileError } from './sops-file-error.js';
import { type Branch, branch, type List, type Tree, text } from './tree.js';

export interface AgeEntry {
  recipient: string;
  /** An armored age file with the data key, or the group's share of it. */
  file: string;
}

/** Keys that open the same share of the data key. */
export interface KeyGroup {
  age: readonly AgeEntry[];
  /** Key services that it names besides age, as people call them. */
  others: readonly string[];
}

export interface SopsMetadata {
  groups: readonly KeyGroup[];
  /** How many groups are needed. */
  threshold: number;
  /** At most one of sops' six rules; absent where its default holds. */
  rule: { name: RuleName; value: string } | undefined;
  isMacOfEncryptedOnly: boolean;
  mac: string;
  lastModified: string;
}

const RULES = [
  'unencrypted_suffix',
  'encrypted_suffix',
  'unencrypted_regex',
  'encrypted_regex',
  'unencrypted_comment_regex',
  'encrypted_comment_regex',
] as const;
export type RuleName = (typeof RULES)[number];

const KEY_SERVICES: Readonly<Record<string, string>> = {
  pgp: 'PGP',
  kms: 'AWS KMS',
  gcp_kms: 'GCP KMS',
  azure_kv: 'Azure Key Vault',
  hc_vault: 'HashiCorp Vault',
  hckms: 'Huawei Cloud KMS',
};

/** Each is tried with each identity, in a process that other starts wait for. */
const MAXIMUM_KEYS = 1_024;

/** @throws SopsFileError */
export function readMetadata(tree: Branch): SopsMetadata {
  const shared = readGroup(tree);
  const isOfGroups = shared.age.length + shared.others.length === 0;
  const groups = isOfGroups ? listOf(tree, 'key_groups').map(readGroup) : [shared];
  if (groups.reduce((sum, group) => sum + group.age.length, 0) > MAXIMUM_KEYS)
    throw new SopsFileError(
      'secret_unreadable',
      `does not open: it has more than ${MAXIMUM_KEYS} recipients`,
    );
  const rules = RULES.flatMap(name => {
    const value = textOf(tree, name);
    return value === '' ? [] : [{ name, value }];
  });
  if (rules.length > 1) throw damaged('it says in more than one way what of it is encrypted');
  return {
    groups,
    threshold: Number(textOf(tree, 'shamir_threshold')) || groups.length,
    rule: rules[0],
    isMacOfEncryptedOnly: /^true$/i.test(textOf(tree, 'mac_only_encrypted')),
    mac: textOf(tree, 'mac'),
    lastModified: textOf(tree, 'lastmodified'),
  };
}

function readGroup(tree: Tree): KeyGroup {
  return {
    age: listOf(tree, 'age').map(entry => ({
      recipient: textOf(entry, 'recipient'),
      file: textOf(entry, 'enc'),
    })),
    others: Object.entries(KEY_SERVICES).flatMap(([key, name]) =>
      listOf(tree, key).length > 0 ? [name] : [],
    ),
  };
}

function memberOf(tree: Tree, key: string): Tree | undefined {
  return tree.kind === 'map' ? tree.entries.find(([name]) => name === key)?.[1] : undefined;
}

function listOf(tree: Tree, key: string): List['items'] {
  const member = memberOf(tree, key);
  return member?.kind === 'list' ? member.items : [];
}

function textOf(tree: Tree, key: string): string {
  const member = memberOf(tree, key);
  return member?.kind === 'value' ? member.text : '';
}

/**
 * Metadata of a format without nesting: `age__list_0__map_enc` is `enc` of the first of `age`.
 * @throws SopsFileError
 */
export function unflatten(flat: Branch): Branch {
  const root: Nested = new Map();
  for (const [name, value] of flat.entries) {
    if (value.kind !== 'value') continue;
    const [first = '', ...steps] = name.split(/(?=__(?:map|list)_)/);
    const path = [first, ...steps.map(step => step.replace(/^__(?:map|list)_/, ''))];
    const last = path.pop() ?? '';
    let place = root;
    for (const part of path) {
      const next = place.get(part) ?? new Map();
      if (!(next instanceof Map)) throw damaged('its metadata contradicts itself');
      place.set(part, next);
      place = next;
    }
    place.set(last, value.text.replaceAll('\\n', '\n'));
  }
  return nest(root) as Branch;
}

type Nested = Map<string, Nested | string>;

function nest(place: Nested): Tree {
  const entries = [...place].map(([key, member]): [string, Tree] => [
    key,
    typeof member === 'string' ? text(member) : nest(member),
  ]);
  const isList = entries.length > 0 && entries.every(([key], index) => key === String(index));
  return isList ? { kind: 'list', items: entries.map(([, item]) => item) } : branch(entries);
}
