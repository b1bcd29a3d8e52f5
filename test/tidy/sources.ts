/** The project's files as the tidy test sees them: texts, and who imports whom. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Generated, or not ours. */
const FOREIGN = new Set(['node_modules', 'dist', 'lib', '.git', 'weir-data', 'results'])

/** Paths from the root, with `/`, of all files below a folder whose name ends like that. */
export function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (FOREIGN.has(entry.name)) return []
    if (entry.isDirectory()) return filesUnder(path, ending)
    return entry.name.endsWith(ending) ? [path] : []
  })
}

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

export const exists = (path: string): boolean => existsSync(join(ROOT, path))

export interface Import {
  from: string
  to: string
  /** Nothing of it is left when the types are gone. */
  isType: boolean
}

const STATEMENT = /^(?:import|export)\s+(?<type>type\s)?[^'"`;]*?from\s+'(?<path>\.[^']+)'/gm
/** A worker, a process or a lazily loaded file: any quoted path of a TypeScript file. */
const QUOTED = /'(?<path>\.{1,2}\/[^'\n]+\.ts)'/g

/** Every relative path that a file names, resolved from the root. */
export function importsOf(path: string): Import[] {
  const text = readText(path)
  const resolve = (target: string): string =>
    relative(ROOT, join(ROOT, dirname(path), target)).replaceAll('\\', '/')
  const stated = [...text.matchAll(STATEMENT)].map(({ groups }) => ({
    from: path,
    to: resolve(groups!['path']!),
    isType: groups!['type'] !== undefined,
  }))
  const known = new Set(stated.map(({ to }) => to))
  const named = [...text.matchAll(QUOTED)]
    .map(({ groups }) => ({ from: path, to: resolve(groups!['path']!), isType: false }))
    .filter(({ to }) => !known.has(to) && exists(to))
  return [...stated, ...named]
}

/** `src/log/file-log.ts` → `log`; undefined outside src. */
export const layerOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1]

/** Tests, and what only tests use: none of it is part of the product. */
export const isForTests = (path: string): boolean =>
  path.startsWith('test/') ||
  /\.(test|conformance)\.ts$|-fixture\.ts$|\/testing(\.ts$|\/)/.test(path) ||
  TEST_SUPPORT.has(path)

/** The naive oracle of the stream and the scripts that feed it. */
const TEST_SUPPORT = new Set(
  ['oracle', 'rule-oracle', 'silence-oracle', 'script', 'script-rules'].map(
    (name) => `src/stream/${name}.ts`,
  ),
)
