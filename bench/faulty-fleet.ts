/**
 * The simulated fleet with faults that are known, and with what is no fault and looks like one:
 * readings that a bad contact throws far off, doors that are opened, connections that are gone for
 * half a minute. All of it is a function of the seed.
 */
import { isOffline, planDevice, type DeviceModel } from '../src/fleet/fleet.ts'
import { episode, gaussian, keyOf, uniform, type EpisodePolicy } from '../src/fleet/signals.ts'

const MINUTE_US = 60_000_000
const HOUR_US = 60 * MINUTE_US

export type Metrics = ReturnType<DeviceModel['measure']>

export interface Fault {
  kind: string
  fromUs: number
  toUs: number
}

interface FaultKind extends EpisodePolicy {
  kind: string
  type: string
  /** `progress` from 0 to 1; undefined: the device says nothing. */
  change: (metrics: Metrics, progress: number) => Metrics | undefined
}

/** In at most one of two spans of so many hours. */
const often = (hours: number, lengthUs: number): EpisodePolicy => ({
  ...{ periodUs: hours * HOUR_US, lengthUs, probability: 0.5 },
})

const add = (metrics: Metrics, metric: string, value: number): Metrics =>
  typeof metrics[metric] === 'number' ? { ...metrics, [metric]: metrics[metric] + value } : metrics

/** Up within a tenth of the time, down again within another. */
const plateau = (progress: number): number => Math.min(1, progress * 10, (1 - progress) * 10)

const FAULTS: readonly FaultKind[] = [
  {
    ...{ kind: 'bearing', type: 'pump', ...often(24, 4 * HOUR_US) },
    // Wear that grows slowly: for an hour it is about as large as the threshold.
    change: (metrics, progress) => add(metrics, 'vibration', 4 * progress),
  },
  {
    ...{ kind: 'compressor', type: 'freezer', ...often(24, 3 * HOUR_US) },
    change: (metrics, progress) => add(metrics, 'temperature', 9 * plateau(progress)),
  },
  {
    ...{ kind: 'sag', type: 'meter', ...often(12, 10 * MINUTE_US) },
    change: (metrics, progress) => add(metrics, 'voltage', -25 * plateau(progress)),
  },
  {
    ...{ kind: 'dead', type: 'weather-station', ...often(12, 20 * MINUTE_US) },
    change: () => undefined,
  },
  {
    // No rule looks for it: a scale that is wrong by a tenth is within what is normal.
    ...{ kind: 'calibration', type: 'meter', ...often(24, 4 * HOUR_US) },
    change: (metrics) => add(metrics, 'power', 0.2),
  },
]

export interface FaultyDevice {
  id: string
  type: string
  faults: Fault[]
  /** Undefined while it says nothing. */
  measure(timeUs: number): Metrics | undefined
}

interface Span {
  startUs: number
  endUs: number
}

/** Device n of the fleet. */
export function faultyDevice(index: number, seed: number, span: Span): FaultyDevice {
  const { id, model } = planDevice(index)
  const kinds = FAULTS.filter(({ type }) => type === model.type)
  const key = (fault: FaultKind): number => keyOf(seed, id, 'fault', fault.kind)
  return {
    ...{ id, type: model.type },
    faults: [
      ...kinds.flatMap((fault) => spansOf(fault, key(fault), span)),
      ...(model.type === 'pump' ? overheatings(id, model, { seed, span }) : []),
    ],
    measure(timeUs) {
      if (isOffline(seed, id, timeUs)) return undefined
      const at = { seed, deviceId: id, timeUs, startUs: span.endUs }
      let metrics: Metrics | undefined = withGlitches(model.measure(at), keyOf(seed, id), timeUs)
      for (const fault of kinds) {
        const progress = episode(key(fault), timeUs, fault)
        if (progress !== undefined && metrics !== undefined) {
          metrics = fault.change(metrics, progress)
        }
      }
      return metrics
    },
  }
}

/** One reading in 1,000 of each number is anywhere. */
function withGlitches(metrics: Metrics, key: number, timeUs: number): Metrics {
  const entries = Object.entries(metrics).map(([metric, value]) => {
    if (typeof value !== 'number') return [metric, value]
    const own = keyOf(key, metric, 'glitch')
    const isGlitch = uniform(own, timeUs / 1000) < 0.001
    return [metric, isGlitch ? value + 30 * gaussian(own, timeUs / 1000) : value]
  })
  return Object.fromEntries(entries) as Metrics
}

/** Found by looking: an episode says only how far it has come. */
const LOOK_US = 10_000_000

function spansOf({ kind, ...policy }: FaultKind, key: number, { startUs, endUs }: Span): Fault[] {
  const faults: Fault[] = []
  for (let timeUs = startUs; timeUs < endUs; timeUs += LOOK_US) {
    const progress = episode(key, timeUs, policy)
    if (progress === undefined) continue
    const fromUs = timeUs - progress * policy.lengthUs
    const toUs = fromUs + policy.lengthUs
    faults.push({ kind, fromUs, toUs })
    timeUs = toUs
  }
  return faults
}

/** The model's own fault: it is seen in what it measures without noise, 34 °C above. */
function overheatings(
  deviceId: string,
  model: DeviceModel,
  { seed, span }: { seed: number; span: Span },
): Fault[] {
  const faults: Fault[] = []
  const { startUs, endUs } = span
  for (let timeUs = startUs; timeUs < endUs; timeUs += LOOK_US) {
    const at = { seed, deviceId, timeUs, startUs: endUs }
    if (Number(model.measure(at)['temperature']) < 65) continue
    const last = faults.at(-1)
    if (last !== undefined && timeUs - last.toUs <= 2 * LOOK_US) last.toUs = timeUs
    // It may have begun just after the look before.
    else faults.push({ kind: 'overheating', fromUs: timeUs - LOOK_US, toUs: timeUs })
  }
  return faults
}
