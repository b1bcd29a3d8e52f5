/**
 * Series of the Numenta Anomaly Benchmark (NAB 1.1, MIT) with their labelled windows, as far as
 * they are beside the repository.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const NAB_DATA = '../shared/data/anomaly'
const FOLDER = fileURLToPath(new URL(`../${NAB_DATA}/`, import.meta.url))

export interface NabSeries {
  name: string
  timeUs: Float64Array<ArrayBuffer>
  value: Float64Array<ArrayBuffer>
  /** Times within which something is wrong, as people labelled it. */
  windows: { fromUs: number; toUs: number }[]
}

const parseUs = (text: string): number => Date.parse(`${text.trim().replace(' ', 'T')}Z`) * 1000

/** Empty where they are not there. */
export function readNabSeries(): NabSeries[] {
  if (!existsSync(`${FOLDER}windows.json`)) return []
  const labels = JSON.parse(readFileSync(`${FOLDER}windows.json`, 'utf8')) as Record<
    string,
    [string, string][]
  >
  return Object.entries(labels).map(([name, windows]) => {
    const rows = new Map<number, number>()
    for (const line of readFileSync(FOLDER + name, 'utf8')
      .trim()
      .split('\n')
      .slice(1)) {
      const [time = '', value = ''] = line.split(',')
      // Some have a time twice; the first counts, as it does in Weir.
      if (!rows.has(parseUs(time))) rows.set(parseUs(time), Number(value))
    }
    const inOrder = [...rows].toSorted(([a], [b]) => a - b)
    return {
      name,
      timeUs: Float64Array.from(inOrder, ([timeUs]) => timeUs),
      value: Float64Array.from(inOrder, ([, value]) => value),
      windows: windows.map(([from, to]) => ({ fromUs: parseUs(from), toUs: parseUs(to) })),
    }
  })
}
