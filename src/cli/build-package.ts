/**
 * `npm run build:js` emits JavaScript into `lib`, for the package: Node strips no types under
 * node_modules. `lib` has the shape of `src`, so that paths relative to a file stay right. What the
 * programs of `tsconfig.package.json` do not reach (tests, the page's sources) is not emitted.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [source, output] = [join(root, 'src'), join(root, 'lib')]

rmSync(output, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
const { status, error } = spawnSync(
  process.execPath,
  [compiler, '--project', join(root, 'tsconfig.package.json')],
  { stdio: 'inherit' },
)
if (error !== undefined) throw error
if (status !== 0) process.exit(status ?? 1)

// What the programs read at run time; the page's own files are built into dist/web.
const assets = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.pipeline.yaml'),
)
for (const path of assets) cpSync(join(source, path), join(output, path))
