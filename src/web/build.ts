/**
 * Builds the page from `src/web` into `dist/web`. It skips when the sources are those of the last
 * build; it compares their contents and not their times, which a checkout or a copy changes freely.
 */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Disk } from '../world/world.ts'
import { nodeWorld } from '../world/node-world.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const output = fileURLToPath(new URL('../../dist/web/', import.meta.url))
// Beside the folder and not in it: all that is in it is served.
const stamp = fileURLToPath(new URL('../../dist/web.sha256', import.meta.url))

async function readBytes(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read')
  const bytes = new Uint8Array(await file.size())
  await file.read(bytes, 0).finally(() => file.close())
  return bytes
}

/**
 * SHA-256 over names and contents of all that the page is made of, the tools' versions included.
 */
async function hashSources(disk: Disk): Promise<string> {
  const names = (await disk.list(here)).filter((name) => !name.endsWith('.test.ts')).sort()
  const hash = createHash('sha256').update(await readBytes(disk, `${root}package.json`))
  for (const name of names) hash.update(`${name}\n`).update(await readBytes(disk, here + name))
  return hash.digest('hex')
}

async function isBuilt(disk: Disk, sources: string): Promise<boolean> {
  if (!(await disk.exists(stamp)) || !(await disk.exists(`${output}index.html`))) return false
  return new TextDecoder().decode(await readBytes(disk, stamp)) === sources
}

async function build(): Promise<void> {
  // Loaded only now: it takes longer than the whole comparison.
  const { build: viteBuild } = await import('vite')
  await viteBuild({
    configFile: false,
    root: here,
    base: './',
    logLevel: 'warn',
    build: {
      outDir: output,
      emptyOutDir: true,
      target: 'es2023',
      // No data: addresses and no inline script, so that the strictest content policy fits.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
  })
}

const { disk } = nodeWorld
const sources = await hashSources(disk)
if (!(await isBuilt(disk, sources))) {
  await build()
  const file = await disk.open(stamp, 'create')
  await file.truncate(0)
  await file.write(new TextEncoder().encode(sources), 0)
  await file.close()
}
