import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createMemoryDisk } from '../world/memory-disk.ts'
import { nodeWorld } from '../world/node-world.ts'
import { ENTRY_HEADER_BYTES, ENTRY_MAGIC } from './entry.ts'
import { openFileLog } from './file-log.ts'
import { testLog } from './log.conformance.ts'

const options = { segmentBytes: 16 << 10, sparesMax: 2 }

/** Where the payload of an entry lies in one of the files, if it does. */
function payloadPosition(content: Uint8Array, offset: number): number | undefined {
  const view = new DataView(content.buffer, content.byteOffset, content.length)
  for (let at = 0; at + ENTRY_HEADER_BYTES <= content.length; at += 8)
    if (view.getUint32(at, true) === ENTRY_MAGIC && view.getFloat64(at + 16, true) === offset)
      return at + ENTRY_HEADER_BYTES
  return undefined
}

testLog({
  name: 'files on the real disk',
  async createBench() {
    const folder = join(await mkdtemp(join(tmpdir(), 'weir-log-')), 'log')
    return {
      open: () => openFileLog({ ...nodeWorld, folder, options }),
      async damage(offset) {
        for (const name of await readdir(folder)) {
          const position = payloadPosition(await readFile(join(folder, name)), offset)
          if (position === undefined) continue
          const file = await open(join(folder, name), 'r+')
          // Also the header of every other one.
          await file.write(Uint8Array.of(0xa5, 0x5a), 0, 2, position - (offset % 2) * 20)
          await file.close()
        }
      },
      dispose: () => rm(join(folder, '..'), { recursive: true }),
    }
  },
  trimsWholeSegments: true,
  cannotCutPower: 'the simulated disk does it',
  cannotFill: 'the simulated disk does it',
  cannotFailFlush: 'the simulated disk does it',
})

for (const full of ['growth', 'allocated'] as const)
  testLog({
    name: `files on the simulated disk, full for ${full}`,
    async createBench() {
      let disk = createMemoryDisk({ seed: 7 })
      const folder = '/data/log'
      return {
        open: () => openFileLog({ disk, folder, options }),
        cutPower: () => void (disk = disk.crash()),
        setFull: (isFull) => disk.setFull(isFull ? full : 'no'),
        failNextFlush: () => disk.failNextSync('.segment'),
        async damage(offset) {
          for (const name of await disk.list(folder)) {
            const file = await disk.open(join(folder, name), 'read')
            const content = new Uint8Array(await file.size())
            await file.read(content, 0)
            const position = payloadPosition(content, offset)
            if (position !== undefined)
              disk.flipBit(join(folder, name), position - (offset % 2) * 20, 3)
          }
        },
      }
    },
    trimsWholeSegments: true,
  })

test('G8 a damaged first entry before a torn last one is named, and the log goes on', async () => {
  const disk = createMemoryDisk({ seed: 7 })
  const folder = '/data/log'
  const path = join(folder, '0000000000000001.segment')
  const log = await openFileLog({ disk, folder, options })
  for (const byte of [1, 2]) await log.append(new Uint8Array(3000).fill(byte))
  await log.close()
  const file = await disk.open(path, 'read')
  const content = new Uint8Array(await file.size())
  await file.read(content, 0)
  disk.flipBit(path, payloadPosition(content, 0)! - 20, 3)
  disk.flipBit(path, payloadPosition(content, 1)!, 3)
  const again = await openFileLog({ disk, folder, options })
  await assert.rejects(again.read(0, 10), { code: 'LOG_ENTRY_DAMAGED' })
  const offset = await again.append(Uint8Array.of(3))
  const [entry] = await again.read(offset, 10)
  assert.deepEqual(entry, { offset, bytes: Uint8Array.of(3) })
})

test('what was before a fresh file is in none any more once it is trimmed, nor in spares', async (context) => {
  const folder = join(await mkdtemp(join(tmpdir(), 'weir-log-')), 'log')
  context.after(() => rm(join(folder, '..'), { recursive: true }))
  const log = await openFileLog({ ...nodeWorld, folder, options })
  const before = Buffer.from('before '.repeat(500))
  // Trimmed files are spares, and the one made ahead was a spare.
  for (let turn = 0; turn < 6; turn++) {
    for (let entry = 0; entry < 10; entry++) await log.append(before)
    await log.trim(log.nextOffset)
  }
  // Groups that are under way belong to the file before.
  const last = [log.append(before), log.append(before)]
  await log.beginAfresh()
  await log.beginAfresh()
  await Promise.all(last)
  const offset = await log.append(Buffer.from('behind'))
  // Whoever trimmed first has it under way.
  void log.trim(offset)
  await log.trim(offset)
  await log.keepSpares()
  const texts = await Promise.all(
    (await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')),
  )
  assert.equal(texts.filter((text) => text.includes('behind')).length, 1)
  assert.equal(texts.filter((text) => text.includes('before')).length, 0)
  assert.deepEqual([log.firstOffset, log.nextOffset], [offset, offset + 1])
  await log.append(before)
  await log.close()
  const again = await openFileLog({ ...nodeWorld, folder, options })
  assert.deepEqual([again.firstOffset, again.nextOffset], [offset, offset + 2])
  await again.close()
})
