// What a kind of source says of itself without being read: its keys in a definition, and the paths that it names. How it is
// read is src/secrets/sources/, which only the deliverer loads.

/** Changes a path that a definition names; `key` is the key that it stands in. */
export type PathChange = (path: string, key: string) => string;

/** @typeParam Keys that a source of this kind has */
export interface SourceKindInfo<Keys> {
  /** JSON schemas of its keys. The first is the kind's own name; the others go with it alone. */
  readonly keys: Readonly<Record<string, object>>;
  /** An example of the whole source, for error messages. */
  readonly example: object;
  /** Each path of the source changed; other keys stay as they are. */
  mapPaths(source: Keys, change: PathChange): Partial<Keys>;
  /** Where the value comes from, on one line. Undefined where the definition itself has it. */
  describe(source: Keys): string | undefined;
  /** What has to change for the value to have changed. Empty where nothing tells: such a source is never compared. */
  watched(source: Keys): readonly string[];
  /** A clause about a source whose keys are each valid and do not go together. */
  findProblem?(source: Keys): string | undefined;
  /** Whether its content is read from the file that its own key names. */
  readonly isFile: boolean;
}

/** A kind whose own key names a file. `others` are the schemas of further keys. */
export function fileKind<Kind extends string, Others = unknown>(
  kind: Kind,
  description: string,
  rest: Pick<SourceKindInfo<FileKeys<Kind, Others>>, 'example'> &
    Partial<Pick<SourceKindInfo<FileKeys<Kind, Others>>, 'describe' | 'findProblem'>> & {
      others?: Record<string, object>;
    },
): SourceKindInfo<FileKeys<Kind, Others>> {
  const { others = {}, ...own } = rest;
  const pathOf = (source: FileKeys<Kind, Others>) => source[kind] ?? '';
  return {
    keys: { [kind]: { type: 'string', minLength: 1, description }, ...others },
    mapPaths: (source, change) =>
      ({ [kind]: change(pathOf(source), kind) }) as Partial<FileKeys<Kind, Others>>,
    describe: pathOf,
    watched: source => [pathOf(source)],
    isFile: true,
    ...own,
  };
}

type FileKeys<Kind extends string, Others> = Partial<Record<Kind, string>> & Others;
