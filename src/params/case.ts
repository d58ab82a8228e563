/** `per_channel`, `per-channel` or `perChannel` -> the words `['per', 'channel']`. */
function words(key: string): string[] {
  return key
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[\s_-]+/)
    .filter(Boolean)
}

/** `per_channel`, `per-channel` -> `perChannel`: keys of tables and of JS options. */
export function camelCase(key: string): string {
  return words(key)
    .map((word, i) => (i === 0 ? word : word[0]!.toUpperCase() + word.slice(1)))
    .join('')
}

/** `perChannel` -> `per_channel`: keys of the query. */
export function snakeCase(key: string): string {
  return words(key).join('_')
}

/** `perChannel` -> `per-channel`: flags of the command line. */
export function kebabCase(key: string): string {
  return words(key).join('-')
}

/** What two spellings of one key have in common: letters and digits, lower case. */
export function foldCase(key: string): string {
  return key.replace(/[\s_-]/g, '').toLowerCase()
}
