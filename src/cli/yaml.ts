/** JSON as YAML 1.2 in blocks: every text that could be read as anything else stands in JSON's quotes, which YAML takes. */
export function renderYaml(value: unknown, indent = ''): string {
  if (Array.isArray(value) && value.length > 0)
    return value.map(item => `${indent}- ${renderYaml(item, `${indent}  `).trimStart()}`).join('\n');
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0)
    return indent + renderScalar(value);
  return Object.entries(value)
    .map(([key, item]) => {
      const isBlock = typeof item === 'object' && item !== null && Object.keys(item).length > 0;
      const rest = isBlock ? `\n${renderYaml(item, `${indent}  `)}` : ` ${renderScalar(item)}`;
      return `${indent}${renderScalar(key)}:${rest}`;
    })
    .join('\n');
}

function renderScalar(value: unknown): string {
  return typeof value === 'string' && isPlain(value) ? value : JSON.stringify(value);
}

/** YAML 1.1 reads some words as true or false, and E6 as a number. */
function isPlain(text: string): boolean {
  return (
    /^[A-Za-z/][\w/.-]*( [\w/.-]+)*$/.test(text) && !/^(y|n|yes|no|on|off|true|false|null|e\d+)$/i.test(text)
  );
}
