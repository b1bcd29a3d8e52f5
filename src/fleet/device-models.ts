/**
 * What each type of simulated device measures. The types, metrics and ranges are those of
 * `demo.pipeline.yaml`; a test holds the two together. If you add a model, add its type there.
 */
import { daily, drift, episode, gaussian, keyOf, uniform } from './signals.ts'

const SECOND_US = 1_000_000
const MINUTE_US = 60 * SECOND_US
const HOUR_US = 60 * MINUTE_US

export type MetricValue = number | boolean | string
export type Metrics = Record<string, MetricValue>

/** Where and when a device measures. All times µs. */
export interface Situation {
  seed: number
  deviceId: string
  timeUs: number
  /**
   * When the fleet started: the first pump overheats soon after it, so that a demo has an alert.
   */
  startUs: number
}

export interface DeviceModel {
  type: string
  /** Values of one message at one time; a pure function. A sensor that drops out is left out. */
  measure(at: Situation): Metrics
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))
const clamp = (value: number, min: number, max: number): number =>
  Math.min(max, Math.max(min, value))

/** Noise of one metric, different for each reading: the index is the reading's millisecond. */
const noise = (at: Situation, metric: string): number =>
  gaussian(keyOf(at.seed, at.deviceId, metric, 'noise'), Math.floor(at.timeUs / 1000))

const wander = (at: Situation, metric: string, periodUs: number): number =>
  drift(keyOf(at.seed, at.deviceId, metric), at.timeUs, periodUs)

/** What makes one device unlike its sisters, in [-1, 1] and constant. */
const character = (at: Situation, metric: string): number =>
  uniform(keyOf(at.seed, at.deviceId, metric, 'character'), 0) * 2 - 1

/** A sensor of this metric gives nothing now and then: 1 reading in 100. */
const dropsOut = (at: Situation, metric: string): boolean =>
  uniform(keyOf(at.seed, at.deviceId, metric, 'dropout'), Math.floor(at.timeUs / 1000)) < 0.01

const OVERHEATING = { periodUs: 20 * MINUTE_US, lengthUs: 90 * SECOND_US, probability: 0.1 }
/** The first pump's own rhythm: from 10 s after the start, 80 s long, every 5 minutes. */
const FIRST_EPISODE_US = 10 * SECOND_US
const REPEAT_US = 5 * MINUTE_US
const EPISODE_US = 80 * SECOND_US

/** 0 when all is well, up to 1 at the height of an overheating. Rises in 6 s, falls in 30 s. */
function overheating(at: Situation): number {
  const phaseUs = at.timeUs - at.startUs - FIRST_EPISODE_US
  const own = phaseUs >= 0 ? (phaseUs % REPEAT_US) / EPISODE_US : 1
  const isFirst = /(^|\D)0*1$/.test(at.deviceId)
  const common = episode(keyOf(at.seed, at.deviceId, 'overheating'), at.timeUs, OVERHEATING)
  const progress = isFirst ? (own < 1 ? own : undefined) : common
  if (progress === undefined) return 0
  return clamp(Math.min(progress / 0.08, (1 - progress) / 0.35), 0, 1)
}

const pump: DeviceModel = {
  type: 'pump',
  measure(at) {
    const heat = overheating(at)
    const isRunning =
      heat > 0 ||
      episode(keyOf(at.seed, at.deviceId, 'rest'), at.timeUs, {
        periodUs: 30 * MINUTE_US,
        lengthUs: 3 * MINUTE_US,
        probability: 0.5,
      }) === undefined
    const load = isRunning ? 0.7 + 0.2 * wander(at, 'load', 4 * MINUTE_US) : 0
    const metrics: Metrics = {
      temperature: round(
        38 + 4 * character(at, 'temperature') + 16 * load + 34 * heat + 0.3 * noise(at, 't'),
        2,
      ),
      pressure: round(clamp(1.2 + 3.5 * load + 0.03 * noise(at, 'p'), 0, 16), 3),
      flow: round(clamp(62 * load * (1 - 0.4 * heat) + 0.5 * noise(at, 'f'), 0, 200), 2),
      running: isRunning,
    }
    const vibration = clamp(0.3 + 2.4 * load + 5 * heat + 0.15 * Math.abs(noise(at, 'v')), 0, 50)
    if (!dropsOut(at, 'vibration')) metrics['vibration'] = round(vibration, 3)
    return metrics
  },
}

const freezer: DeviceModel = {
  type: 'freezer',
  measure(at) {
    const cycle = (at.timeUs / (12 * MINUTE_US) + character(at, 'phase') + 2) % 1
    const open = episode(keyOf(at.seed, at.deviceId, 'door'), at.timeUs, {
      periodUs: 8 * MINUTE_US,
      lengthUs: 40 * SECOND_US,
      probability: 0.6,
    })
    const saw = cycle < 0.4 ? 1 - cycle / 0.4 : (cycle - 0.4) / 0.6
    const warm = open === undefined ? 0 : 4 * Math.sin(Math.PI * open)
    const metrics: Metrics = {
      temperature: round(-20 + 2.5 * saw + warm + 0.08 * noise(at, 't'), 2),
      door_open: open !== undefined,
      compressor: cycle < 0.4 ? 'cooling' : cycle > 0.95 ? 'defrost' : 'idle',
    }
    if (!dropsOut(at, 'humidity'))
      metrics['humidity'] = round(clamp(45 + 6 * warm + noise(at, 'h'), 0, 100), 1)
    return metrics
  },
}

const meter: DeviceModel = {
  type: 'meter',
  measure(at) {
    const meanKw = 2.4 + character(at, 'mean')
    const swingKw = 0.4 * meanKw
    const hours = at.timeUs / HOUR_US
    // The counter is the exact integral of mean and daily swing (peak at 18 UTC), so it never
    // falls.
    const turn = (2 * Math.PI) / 24
    const energy = meanKw * hours + (swingKw / turn) * Math.sin(turn * (hours - 18))
    const power = meanKw + swingKw * daily(at.timeUs, 18) + 0.2 * wander(at, 'power', 5 * MINUTE_US)
    return {
      power: round(clamp(power + 0.02 * noise(at, 'p'), 0, 100), 3),
      voltage: round(231 + 3 * wander(at, 'voltage', 9 * MINUTE_US) + 0.3 * noise(at, 'v'), 1),
      energy: round(energy, 3),
    }
  },
}

const WINDS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW']

const weatherStation: DeviceModel = {
  type: 'weather-station',
  measure(at) {
    const warmth = daily(at.timeUs, 14)
    const front = wander(at, 'front', 3 * HOUR_US)
    const heading = Math.floor(4 * (wander(at, 'wind', HOUR_US) + 1)) % WINDS.length
    const metrics: Metrics = {
      temperature: round(12 + 7 * warmth + 3 * front + 0.1 * noise(at, 't'), 2),
      humidity: round(clamp(68 - 18 * warmth - 8 * front + 0.5 * noise(at, 'h'), 5, 100), 1),
      air_pressure: round(1013 - 9 * front + 0.05 * noise(at, 'p'), 2),
      wind_direction: WINDS[heading] ?? 'N',
      raining: front < -0.6,
    }
    const wind = 4 + 3 * wander(at, 'gust', 2 * MINUTE_US) + Math.abs(noise(at, 'w'))
    if (!dropsOut(at, 'wind_speed')) metrics['wind_speed'] = round(clamp(wind, 0, 60), 2)
    return metrics
  },
}

const tracker: DeviceModel = {
  type: 'tracker',
  measure(at) {
    const speed = clamp(45 + 60 * wander(at, 'speed', 3 * MINUTE_US), 0, 110)
    return {
      latitude: round(52.37 + 0.2 * character(at, 'y') + 0.08 * wander(at, 'y', HOUR_US), 6),
      longitude: round(4.9 + 0.3 * character(at, 'x') + 0.12 * wander(at, 'x', HOUR_US), 6),
      speed: round(speed, 1),
      ignition: speed > 0,
      battery: round(clamp(12.6 + 1.4 * (speed > 0 ? 1 : 0) + 0.05 * noise(at, 'b'), 9, 16), 2),
    }
  },
}

/** In the order in which a fleet is filled: device n gets model n modulo their count. */
export const DEVICE_MODELS: readonly DeviceModel[] = [pump, freezer, meter, weatherStation, tracker]
