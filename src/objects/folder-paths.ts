/**
 * Keys as paths of files, one to one. A file is told from a folder by its name alone:
 *
 *   folder     letters, digits and `_=-` as they are, all else as %XX of its UTF-8 bytes
 *   file       the same with dots as they are; one without any ends in `.%`
 *   too long   is cut: `first part~/second part~/last part.%`
 *   temporary  begins with `~`
 *
 * So `readings/tenant=a/x.parquet` is a path that other tools find. Needs a file system that tells
 * `a` from `A`.
 */

/** File systems take 255 bytes. */
const NAME_LENGTH_MAX = 200
const CONTINUES = '~'
const DOTLESS = '.%'

const encoder = new TextEncoder()

const percent = (character: string): string =>
  [...encoder.encode(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')

const escaped = (part: string): string => part.replaceAll(/[^\w=-]/gu, percent)

/** One folder, or several when its name is too long for one. */
function foldersOf(part: string): string[] {
  const name = escaped(part)
  const names: string[] = []
  for (let at = 0; at < name.length; at += NAME_LENGTH_MAX) {
    const isLast = at + NAME_LENGTH_MAX >= name.length
    names.push(`${name.slice(at, at + NAME_LENGTH_MAX)}${isLast ? '' : CONTINUES}`)
  }
  return names
}

/** Where the objects are that begin with `parts` and a slash. */
export const folderOf = (parts: readonly string[]): string => parts.flatMap(foldersOf).join('/')

/** The path of a key's file, from the root of all objects. */
export function pathOf(key: string): string {
  const parts = key.split('/')
  const last = parts.pop() ?? ''
  const short = last.replaceAll(/[^\w=.-]/gu, percent)
  const isShort = short.length <= NAME_LENGTH_MAX
  const names = isShort && short.includes('.') ? [short] : foldersOf(last)
  if (names[0] !== short || !short.includes('.')) names.push(`${names.pop()}${DOTLESS}`)
  return [...parts.flatMap(foldersOf), ...names].join('/')
}

export const isFile = (name: string): boolean => name.includes('.')
export const isTemporary = (name: string): boolean => name.startsWith(CONTINUES)
export const temporaryName = (unique: string): string => `${CONTINUES}${unique}.tmp`

/** The key of a path that `pathOf` made. */
export function keyOf(path: string): string {
  const name = path.endsWith(DOTLESS) ? path.slice(0, -DOTLESS.length) : path
  return decodeURIComponent(name.replaceAll(`${CONTINUES}/`, ''))
}
