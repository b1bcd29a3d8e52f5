/**
 * A process that writes until it is killed: each round makes twenty rows go one revision on, and is
 * said on a line of its own once it is durable. Its argument is how to open the store, as JSON.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { nodeWorld } from '../world/node-world.ts'
import { definition, type Writer } from './database.conformance.ts'
import type { ControlDatabase } from './database.ts'
import { openPostgresControl } from './postgres-control.ts'
import { openControl } from './sqlite-control.ts'

const ROWS = 20

export type Place = { path: string } | { url: string; schema: string }

export async function startWriter(place: Place): Promise<Writer> {
  const program = ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url)]
  const child = spawn(process.execPath, [...program, JSON.stringify(place)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let newest = 0
  createInterface({ input: child.stdout }).on('line', (line) => (newest = Number(line)))
  const ended = once(child, 'close')
  return {
    acknowledged() {
      if (child.exitCode !== null) throw new Error('the writer has ended by itself')
      return newest
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function open(place: Place): Promise<ControlDatabase> {
  if ('path' in place) return openControl({ ...place, world: nodeWorld }).database
  return (await openPostgresControl({ access: place, world: nodeWorld })).database
}

async function writeForEver(place: Place): Promise<void> {
  const database = await open(place)
  for (let revision = 1; ; revision++) {
    const rows = Array.from({ length: ROWS }, (_, at) => definition(`r${at}`, revision))
    const expected = revision - 1
    const changes = rows.map((put) => ({ table: 'definition' as const, put, expected }))
    if (!(await database.write(changes))) throw new Error(`somebody else wrote ${revision}`)
    process.stdout.write(`${revision}\n`)
  }
}

if (import.meta.main) await writeForEver(JSON.parse(process.argv[2] ?? '') as Place)
