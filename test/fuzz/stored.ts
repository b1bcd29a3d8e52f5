/** What is read back from the disk: the log's segments, and the stream's state. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { WeirError } from '../../src/errors/errors.ts'
import { openFileLog } from '../../src/log/file-log.ts'
import type { Log } from '../../src/log/log.ts'
import { StateFile } from '../../src/storage/state-file.ts'
import {
  createMemoryDisk,
  createSeededRandom,
  type MemoryDisk,
} from '../../src/world/memory-disk.ts'
import { mutated } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const FOLDER = '/log'
const SEGMENT_BYTES = 12 << 10

const openLog = (disk: MemoryDisk): Promise<Log> =>
  openFileLog({
    disk,
    random: createSeededRandom(7),
    folder: FOLDER,
    options: { segmentBytes: SEGMENT_BYTES },
  })

async function readFile(disk: MemoryDisk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read')
  const bytes = new Uint8Array(await file.size())
  await file.read(bytes, 0)
  await file.close()
  return bytes
}

async function writeFile(disk: MemoryDisk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, 'create')
  await file.truncate(0)
  await file.write(bytes, 0)
  await file.sync()
  await file.close()
}

/** What may be done to the files of a log that nobody has open. */
type Damage = (disk: MemoryDisk, names: string[]) => Promise<void>

const pathOf = (names: string[], which: number): string =>
  `${FOLDER}/${names[which % names.length]}`

/** Changed bytes near places where something stands: headers, entries, the end. */
const changed = fc
  .tuple(fc.nat(), fc.nat({ max: SEGMENT_BYTES }), fc.uint8Array({ minLength: 1, maxLength: 64 }))
  .map(([which, place, bytes]): Damage => async (disk, names) => {
    const path = pathOf(names, which)
    const content = await readFile(disk, path)
    const at = Math.min(place, Math.max(0, content.length - bytes.length))
    content.set(bytes.subarray(0, content.length - at), at)
    await writeFile(disk, path, content)
  })
const zeroed = fc.tuple(fc.nat(), fc.nat({ max: 23 })).map(([which, sector]): Damage => {
  return async (disk, names) => {
    const path = pathOf(names, which)
    const content = await readFile(disk, path)
    content.fill(0, sector * 512, sector * 512 + 512)
    await writeFile(disk, path, content)
  }
})
const shortened = fc
  .tuple(fc.nat(), fc.nat({ max: SEGMENT_BYTES }))
  .map(([which, length]): Damage => {
    return async (disk, names) => {
      const path = pathOf(names, which)
      await writeFile(disk, path, (await readFile(disk, path)).slice(0, length))
    }
  })
const rewritten = fc.tuple(fc.nat(), fc.nat()).chain(([which, other]) =>
  fc.constantFrom<Damage>(
    async (disk, names) => disk.remove(pathOf(names, which)),
    async (disk, names) => {
      const bytes = await readFile(disk, pathOf(names, which))
      await writeFile(disk, pathOf(names, other), bytes)
    },
    async (disk) => writeFile(disk, `${FOLDER}/0000000000000099.segment`, new Uint8Array(77)),
    async (disk) => writeFile(disk, `${FOLDER}/nonsense.segment`, new Uint8Array(77)),
  ),
)
const damages = fc.array(fc.oneof(changed, changed, zeroed, shortened, rewritten), {
  minLength: 1,
  maxLength: 3,
})
const payloadSizes = fc.array(fc.constantFrom(0, 8, 500, 1000, 3000), {
  minLength: 1,
  maxLength: 24,
})

const payloadOf = (offset: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => (offset * 31 + i * 7) % 256)

/** An error of the catalogue, or what was written; never other bytes, never without an end. */
async function servesTheTruth(sizes: number[], damage: Damage[]): Promise<void> {
  const disk = createMemoryDisk({ seed: 1 })
  const log = await openLog(disk)
  for (const [offset, size] of sizes.entries()) await log.append(payloadOf(offset, size))
  await log.close()
  const names = (await disk.list(FOLDER)).filter((name) => name.endsWith('.segment'))
  for (const one of damage) await one(disk, names).catch(ignoreMissing)
  let again: Log
  try {
    again = await openLog(disk)
  } catch (error) {
    return assertNamed(error)
  }
  await readsWhatWasWritten(again, sizes)
  const offset = await again.append(payloadOf(99, 100))
  assert.deepEqual((await again.read(offset, 1000))[0]?.bytes, payloadOf(99, 100))
  await again.close()
}

/** A second damage may want a file that the first one removed. */
function ignoreMissing(error: unknown): void {
  if ((error as { code?: string }).code !== 'ENOENT') throw error
}

function assertNamed(error: unknown): void {
  if (!(error instanceof WeirError)) throw error
  assert.ok(['DATA_FILE_DAMAGED', 'DATA_FORMAT_NEWER'].includes(error.code), error.code)
}

async function readsWhatWasWritten(log: Log, sizes: number[]): Promise<void> {
  assert.ok(log.firstOffset >= 0 && log.nextOffset <= sizes.length)
  let offset = log.firstOffset
  while (offset < log.nextOffset) {
    try {
      for (const entry of await log.read(offset, 2000)) {
        assert.equal(entry.offset, offset)
        assert.deepEqual(entry.bytes, payloadOf(offset, sizes[offset]!))
        offset++
      }
    } catch (error) {
      if (!(error instanceof WeirError)) throw error
      assert.equal(error.code, 'LOG_ENTRY_DAMAGED')
      assert.equal(error.details['offset'], offset)
      const resume = Number(error.details['resumeOffset'])
      assert.ok(resume > offset, 'reading goes on behind it')
      offset = resume
    }
  }
}

const part = fc.record({
  name: fc.string({ minLength: 1, maxLength: 8 }),
  bytes: fc.uint8Array({ maxLength: 9000 }).map((bytes) => Uint8Array.from(bytes)),
})
const parts = fc.uniqueArray(part, { minLength: 1, maxLength: 5, selector: ({ name }) => name })

/** Two commits, then damage: each part is what was written last, or refused by its checksum. */
async function stateIsTrueOrRefused(
  first: { name: string; bytes: Uint8Array<ArrayBuffer> }[],
  second: { name: string; bytes: Uint8Array<ArrayBuffer> }[],
  damage: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const disk = createMemoryDisk({ seed: 1 })
  const state = await StateFile.open(disk, '/state.bin')
  const manifest = await state.write(await state.write([], first), second)
  await state.close()
  await writeFile(disk, '/state.bin', damage(await readFile(disk, '/state.bin')))
  const again = await StateFile.open(disk, '/state.bin')
  const expected = new Map([...first, ...second].map(({ name, bytes }) => [name, bytes]))
  assert.equal(manifest.length, expected.size)
  for (const one of manifest) {
    try {
      assert.deepEqual((await again.read(one)).bytes, expected.get(one.name))
    } catch (error) {
      assertNamed(error)
    }
  }
  await again.close()
}

const stateDamage = fc.oneof(
  fc.constant((bytes: Uint8Array) => bytes),
  fc.infiniteStream(fc.nat()).map((chance) => (bytes: Uint8Array) => {
    const copy = Uint8Array.from(bytes)
    for (let i = 0; i < 3; i++) copy[chance.next().value % copy.length]! ^= 1
    return copy
  }),
  fc.nat().map((length) => (bytes: Uint8Array) => bytes.slice(0, length % (bytes.length + 1))),
)

export const storedTarget: FuzzTarget = {
  name: 'stored',
  claims: [
    claim(
      'a log whose files were damaged says so, or serves what was written to it',
      250,
      fc.asyncProperty(payloadSizes, damages, servesTheTruth),
    ),
    claim(
      'a part of the state is what was written last, or refused by its checksum',
      250,
      fc.asyncProperty(parts, parts, stateDamage, stateIsTrueOrRefused),
    ),
    claim(
      'any bytes in a log’s folder are opened or named',
      150,
      fc.asyncProperty(
        mutated(fc.constant(new Uint8Array(SEGMENT_BYTES))),
        fc.nat({ max: 3 }),
        async (bytes, sequence) => {
          const disk = createMemoryDisk({ seed: 1 })
          await disk.makeFolder(FOLDER)
          await writeFile(disk, `${FOLDER}/000000000000000${sequence}.segment`, bytes)
          const log = await openLog(disk).catch(assertNamed)
          if (log === undefined) return
          await readsWhatWasWritten(log, [])
          await log.close()
        },
      ),
    ),
  ],
}
