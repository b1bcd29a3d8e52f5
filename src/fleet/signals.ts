/**
 * Signals of a world that does not exist: daily cycles, drift, noise and episodes. Every function
 * is pure: the same key and time always give the same value, in any process and in any order, so a
 * simulated fleet can be stopped, restarted or asked about the past and still tells one story.
 *
 * Chance comes from a hash (FNV-1a for names, the finalizer of MurmurHash3 for numbers), not from a
 * generator with state, since state would make a value depend on how often it was asked for.
 */
const DAY_US = 86_400_000_000

/** MurmurHash3's 32 bit finalizer: every input bit flips about half of the output bits. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A 32 bit key for a seed and names, such as `keyOf(7, 'pump-01', 'temperature')`. */
export function keyOf(seed: number, ...names: string[]): number {
  let h = mix(seed ^ 0x811c9dc5)
  for (const name of names) {
    for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193)
    h = mix(h)
  }
  return h
}

/** Uniform in [0, 1), by key and index; the index may be any integer up to 2^53. */
export function uniform(key: number, index: number): number {
  const low = index % 0x100000000
  const high = Math.floor(index / 0x100000000)
  return mix(mix(key ^ mix(low)) + Math.imul(high, 0x9e3779b9)) / 0x100000000
}

/** Normal with mean 0 and deviation 1, by key and index (Box and Muller 1958). */
export function gaussian(key: number, index: number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(key, index)))
  return radius * Math.cos(2 * Math.PI * uniform(mix(key + 1), index))
}

/** Drift: a continuous walk in [-1, 1] that changes direction about once a `periodUs`. */
export function drift(key: number, timeUs: number, periodUs: number): number {
  const position = timeUs / periodUs
  const index = Math.floor(position)
  const blend = (1 - Math.cos(Math.PI * (position - index))) / 2
  const from = uniform(key, index) * 2 - 1
  const to = uniform(key, index + 1) * 2 - 1
  return from + (to - from) * blend
}

/** A daily cycle in [-1, 1] that is highest at `peakHour` UTC. */
export function daily(timeUs: number, peakHour: number): number {
  return Math.cos(2 * Math.PI * (timeUs / DAY_US - peakHour / 24))
}

export interface EpisodePolicy {
  /** Time is cut into spans of this length; each holds at most one episode. */
  periodUs: number
  lengthUs: number
  /** Chance that a span holds an episode, 0 to 1. */
  probability: number
}

/** How far the episode under way has come, 0 to 1; undefined when there is none at that time. */
export function episode(key: number, timeUs: number, policy: EpisodePolicy): number | undefined {
  const { periodUs, lengthUs, probability } = policy
  const span = Math.floor(timeUs / periodUs)
  if (uniform(key, span) >= probability) return undefined
  const beginUs = span * periodUs + uniform(mix(key + 2), span) * (periodUs - lengthUs)
  const progress = (timeUs - beginUs) / lengthUs
  return progress >= 0 && progress < 1 ? progress : undefined
}
