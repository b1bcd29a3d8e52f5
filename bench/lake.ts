/**
 * How fast does the lake's encoder go on one core, and how many bytes does a reading take? Messages
 * of the simulated fleet in the order of their times, as they come from the log: collected, sorted,
 * encoded; the object store is left out. In CPU time, of which another program takes nothing.
 */
import type { SeriesName } from '../src/batch/batch.ts'
import { planDevice } from '../src/fleet/fleet.ts'
import { keyOf, uniform } from '../src/fleet/signals.ts'
import { CollectedReadings } from '../src/lake/collected-readings.ts'
import { encodeLakeFile } from '../src/lake/lake-file.ts'
import type { LakeBatch } from '../src/lake/lake.ts'
import { cutFolders } from '../src/lake/sorted-readings.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'

const DEVICES = numberFlag('devices', isQuick ? 200 : 2000)
/** Of each device: at 10 s this is a commit every 15 minutes. */
const MESSAGES = numberFlag('messages', 90)
const RUNS = numberFlag('runs', isQuick ? 2 : 5)
const INTERVAL_MS = 10_000
const JITTER_MS = 500
const SEED = 1
const START_MS = 1_785_542_400_000

const reporter = new Reporter('lake', 'the lake’s encoder: readings/s a core, bytes a reading')

/** One turn of all devices is one batch. */
function planBatches(): LakeBatch[] {
  const names: SeriesName[] = []
  const numbers = new Map<string, number>()
  const texts: string[] = []
  const devices = Array.from({ length: DEVICES }, (_, index) => planDevice(index))
  return Array.from({ length: MESSAGES }, (_, turn) => {
    const rows = { series: [] as number[], timeUs: [] as number[], value: [] as number[] }
    for (const { id, model } of devices) {
      const early = uniform(keyOf(SEED, id, 'jitter'), turn) * 2 - 1
      const phaseMs = uniform(keyOf(SEED, id, 'phase'), 0) * INTERVAL_MS
      const ms = Math.round(START_MS + turn * INTERVAL_MS + phaseMs + early * JITTER_MS)
      const at = { seed: SEED, deviceId: id, timeUs: ms * 1000, startUs: START_MS * 1000 }
      for (const [metric, value] of Object.entries(model.measure(at))) {
        const kind = typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean')
        const key = `${id} ${metric} ${kind}`
        let number = numbers.get(key)
        if (number === undefined) {
          const device = { tenant: 'default', deviceId: id, deviceType: model.type }
          number = names.push({ ...device, metric, dimensions: [], kind }) - 1
          numbers.set(key, number)
        }
        rows.series.push(number)
        rows.timeUs.push(ms * 1000)
        rows.value.push(kind === 'text' ? texts.push(String(value)) - 1 : Number(value))
      }
    }
    return { names, count: rows.series.length, ...rows, texts, offsets: [] }
  })
}

const batches = planBatches()
const readings = batches.reduce((sum, { count }) => sum + count, 0)
const cpuS = (): number => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6
for (let run = 0; run < RUNS; run++) {
  const start = cpuS()
  const collected = new CollectedReadings()
  for (const batch of batches) collected.add(batch)
  const sorting = cpuS()
  const sorted = collected.sorted()
  const folders = cutFolders(sorted)
  const encoding = cpuS()
  let bytes = 0
  for (const runs of folders.values())
    bytes += (await encodeLakeFile(sorted, runs, () => Promise.resolve())).bytes.length
  const end = cpuS()
  reporter.add('collecting', readings / (sorting - start), 'readings/s')
  reporter.add('sorting', readings / (encoding - sorting), 'readings/s')
  reporter.add('encoding', readings / (end - encoding), 'readings/s')
  reporter.add('all of it', readings / (end - start), 'readings/s')
  if (run === 0) reporter.add('size', bytes / readings, 'B/reading')
}
reporter.add('readings of a commit', readings, 'readings')
reporter.finish()
