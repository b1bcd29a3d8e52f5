import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  decodeFrame,
  encodeFrame,
  type Definitions,
  type SeriesDefinition,
} from '../batch/batch.ts'
import type { Device } from '../control/control.ts'
import { openFileLog } from '../log/file-log.ts'
import type { Log } from '../log/log.ts'
import { createMemoryDisk } from '../world/memory-disk.ts'
import { Dictionary } from './dictionary.ts'
import { LogTail, type LostEntries } from './log-tail.ts'

const FOLDER = '/data/log'
const PUMP = { number: 7, tenant: 'acme', id: 'pump-7', type: 'pump' } as Device

const definitionOf = (series: number, metric: string): SeriesDefinition => ({
  ...{ series, metric, device: PUMP.number, tenant: PUMP.tenant, deviceId: PUMP.id },
  ...{ deviceType: PUMP.type, dimensions: [], kind: 'number' },
})

/** One message of one device; the value of a reading is its series' number. */
function frameOf(
  series: number[],
  { device = PUMP.number, definitions }: { device?: number; definitions?: Definitions } = {},
): Uint8Array<ArrayBuffer> {
  return encodeFrame({
    ...{ messageCount: 1, readingCount: series.length, baseIngestTimeUs: 1e15 },
    ...{ eventTimeUs: Float64Array.of(1e15), ingestDeltaUs: Uint32Array.of(0) },
    ...{ device: Uint32Array.of(device), identityHigh: undefined, identityLow: undefined },
    ...{ readingsInMessage: Uint16Array.of(series.length), flags: Uint8Array.of(0) },
    ...{ value: Float64Array.from(series), series: Uint32Array.from(series) },
    ...{ definitions, deadLetters: undefined },
  })
}

interface Rig {
  tail: LogTail
  dictionary: Dictionary
  lost: LostEntries[]
  /** Examined, then handed on, as after a start. */
  handOn(): Promise<ReturnType<typeof decodeFrame>[]>
}

/** A log of these frames, opened again with the payloads of some of them damaged. */
async function rigOf(frames: Uint8Array[], damaged: number[]): Promise<Rig> {
  const disk = createMemoryDisk({ seed: 3 })
  const options = { segmentBytes: 16 << 10, sparesMax: 0 }
  const written = await openFileLog({ disk, folder: FOLDER, options })
  for (const frame of frames) await written.append(frame)
  await written.close()
  for (const index of damaged) await flip(disk, frames[index]!)
  const log = await openFileLog({ disk, folder: FOLDER, options })
  const dictionary = new Dictionary({
    ...{
      seriesMax: 100,
      seriesPerDeviceMax: 100,
      textsMax: 100,
      definitionBytesMax: 1 << 20,
      factsBytesMax: 1 << 16,
    },
  })
  const numbers = {
    findByNumber: (number: number) => (number === PUMP.number ? PUMP : undefined),
  }
  const lost: LostEntries[] = []
  const tail = new LogTail({
    ...{ log, dictionary, numbers, tenant: 'default', lost: (entries) => lost.push(entries) },
  })
  return { tail, dictionary, lost, handOn: () => handOn(log, tail) }
}

async function handOn(log: Log, tail: LogTail): Promise<ReturnType<typeof decodeFrame>[]> {
  await tail.examine(0)
  const frames = []
  const into = new Uint8Array(4096)
  for (let offset = 0; offset < log.nextOffset;) {
    const { entries, nextOffset } = await tail.read(offset, into)
    for (const entry of entries) {
      frames.push(decodeFrame(tail.frame(entry, (bytes) => new ArrayBuffer(bytes))))
    }
    offset = nextOffset
  }
  return frames
}

/** Flips a bit in the middle of a frame, wherever the log has put it. */
async function flip(disk: ReturnType<typeof createMemoryDisk>, frame: Uint8Array): Promise<void> {
  for (const name of await disk.list(FOLDER)) {
    const file = await disk.open(join(FOLDER, name), 'read')
    const content = Buffer.alloc(await file.size())
    await file.read(content, 0)
    const at = content.indexOf(frame)
    if (at >= 0) return disk.flipBit(join(FOLDER, name), at + (frame.length >> 1), 2)
  }
  assert.fail('the log does not hold that frame')
}

const FIRST = { series: [definitionOf(0, 'temperature')], texts: [] }
const SECOND = { series: [definitionOf(1, 'pressure')], texts: [] }

test('promise 1: what a damaged entry defined is named in its place, in the first frame behind that needs it', async () => {
  const frames = [
    frameOf([0], { definitions: FIRST }),
    frameOf([1], { definitions: SECOND }),
    frameOf([0, 1]),
    frameOf([1]),
  ]
  const rig = await rigOf(frames, [1])
  const handed = await rig.handOn()
  assert.deepEqual(
    handed.map(({ series }) => [...series]),
    [[0], [0, 1], [1]],
  )
  assert.deepEqual(handed[1]!.definitions, {
    series: [definitionOf(1, 'lost_name_1')],
    texts: [],
  })
  assert.equal(handed[2]!.definitions, undefined, 'defined once')
  assert.ok(rig.dictionary.isKnown(1), 'so that its number is not given again')
  const entries = { fromOffset: 1, toOffset: 2 }
  assert.deepEqual(
    rig.lost.map(({ fromOffset, toOffset }) => ({ fromOffset, toOffset })),
    [entries],
    'told once, although it was read twice',
  )
})

test('the stand-in of a series joins what its frame defines itself, in the order of numbers', async () => {
  const third = { series: [definitionOf(2, 'flow')], texts: [] as [number, string][] }
  const frames = [
    frameOf([0], { definitions: FIRST }),
    frameOf([1], { definitions: SECOND }),
    frameOf([2, 1], { definitions: third, device: 8 }),
  ]
  const [, frame] = await (await rigOf(frames, [1])).handOn()
  const { series } = frame!.definitions!
  assert.deepEqual(series.map(({ metric }) => metric).toSorted(), ['flow', 'lost_name_1'])
  const standIn = series.find(({ metric }) => metric === 'lost_name_1')!
  assert.deepEqual(
    [standIn.device, standIn.tenant, standIn.deviceId, standIn.deviceType],
    [8, 'default', 'lost-8', 'generic'],
    'a device whose record is gone',
  )
})

test('behind damage no text gets a number that the lost entry may have given', async () => {
  const texts: [number, string][] = [[5, 'idle']]
  const frames = [
    frameOf([0], { definitions: { ...FIRST, texts } }),
    frameOf([0], { definitions: { series: [], texts: [[6, 'running']] } }),
    frameOf([0]),
  ]
  const { dictionary, handOn: go } = await rigOf(frames, [1])
  await go()
  assert.equal(dictionary.text('idle'), 5)
  assert.ok(dictionary.text('running') >= 6 + 2 ** 28)
})

test('without damage nothing is named, skipped or told', async () => {
  const frames = [frameOf([0], { definitions: FIRST }), frameOf([0])]
  const rig = await rigOf(frames, [])
  const handed = await rig.handOn()
  assert.deepEqual(handed[0]!.definitions, FIRST)
  assert.equal(rig.dictionary.text('first'), 0)
  assert.deepEqual(rig.lost, [])
})
