/**
 * Counters, gauges and histograms of one thread. A child for a set of labels is made once and kept
 * by the caller, so that counting on the hot path is one addition.
 */
import type { MetricSample } from './observe.ts'

type Labels = Record<string, string>

/** Only rises. `add` takes any amount that is not negative. */
export class Counter {
  value = 0

  add(amount = 1): void {
    this.value += amount
  }
}

export class Gauge {
  value = 0

  set(value: number): void {
    this.value = value
  }
}

/**
 * Powers of two from 0.25 ms to 16 s: 17 buckets; a quantile read from them is within a factor of
 * 2.
 */
const LATENCY_BOUNDS_SECONDS: readonly number[] = Array.from(
  { length: 17 },
  (_, index) => 2 ** index / 4000,
)

export class Histogram {
  readonly bounds: readonly number[]
  /** One count per bound and one for what exceeds the last; not cumulative. */
  readonly counts: Float64Array
  sum = 0

  /** `bounds` ascend; a bucket includes its bound, as in Prometheus. */
  constructor(bounds: readonly number[] = LATENCY_BOUNDS_SECONDS) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let bucket = 0
    while (bucket < this.bounds.length && value > (this.bounds[bucket] as number)) bucket++
    this.counts[bucket] = (this.counts[bucket] as number) + 1
    this.sum += value
  }
}

interface Family<Child> {
  name: string
  help: string
  children: Map<string, { labels: Labels; child: Child }>
}

/**
 * Families are limited in children, so that a label that grows without bound cannot eat the memory.
 */
const CHILDREN_MAX = 1000

/** The metrics of one stage. Asking for the same name and labels again gives the same child. */
export class Registry {
  readonly #counters = new Map<string, Family<Counter>>()
  readonly #gauges = new Map<string, Family<Gauge>>()
  readonly #histograms = new Map<string, Family<Histogram>>()
  readonly #readings: { name: string; help: string; labels: Labels; read: () => number }[] = []

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return childOf(this.#counters, { name, help, labels }, () => new Counter())
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    return childOf(this.#gauges, { name, help, labels }, () => new Gauge())
  }

  /** A gauge that is read when the samples are taken. */
  gaugeOf(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#readings.push({ name, help, labels, read })
  }

  histogram(
    name: string,
    help: string,
    options: { labels?: Labels; bounds?: readonly number[] } = {},
  ): Histogram {
    const { labels = {}, bounds } = options
    return childOf(this.#histograms, { name, help, labels }, () => new Histogram(bounds))
  }

  /** Plain data: may be posted to another thread. */
  samples(): MetricSample[] {
    const plain = [
      ...flatten(this.#counters, ({ value }) => ({ type: 'counter' as const, value })),
      ...flatten(this.#gauges, ({ value }) => ({ type: 'gauge' as const, value })),
      ...this.#readings.map(({ read, ...metric }) => ({
        ...metric,
        type: 'gauge' as const,
        value: read(),
      })),
    ]
    const histograms = [...this.#histograms.values()].flatMap(({ name, help, children }) =>
      [...children.values()].flatMap(({ labels, child }) =>
        histogramSamples(child, { name, help, labels }),
      ),
    )
    return [...plain, ...histograms]
  }
}

function childOf<Child>(
  families: Map<string, Family<Child>>,
  metric: { name: string; help: string; labels: Labels },
  make: () => Child,
): Child {
  const { name, help, labels } = metric
  let family = families.get(name)
  if (family === undefined) families.set(name, (family = { name, help, children: new Map() }))
  const key = JSON.stringify(labels, Object.keys(labels).toSorted())
  const known = family.children.get(key)
  if (known !== undefined) return known.child
  if (family.children.size >= CHILDREN_MAX) throw new RangeError(`too many labels of ${name}`)
  const child = make()
  family.children.set(key, { labels, child })
  return child
}

function flatten<Child>(
  families: Map<string, Family<Child>>,
  read: (child: Child) => Pick<MetricSample, 'type' | 'value'>,
): MetricSample[] {
  return [...families.values()].flatMap(({ name, help, children }) =>
    [...children.values()].map(({ labels, child }) => ({ name, help, labels, ...read(child) })),
  )
}

function histogramSamples(
  histogram: Histogram,
  metric: { name: string; help: string; labels: Labels },
): MetricSample[] {
  const sample = (suffix: string, value: number, labels: Labels = {}): MetricSample => ({
    name: metric.name + suffix,
    help: metric.help,
    type: 'histogram',
    labels: { ...metric.labels, ...labels },
    value,
  })
  let total = 0
  const buckets = Array.from(histogram.counts, (count, index) => {
    total += count
    const bound = histogram.bounds[index]
    return sample('_bucket', total, { le: bound === undefined ? '+Inf' : String(bound) })
  })
  return [...buckets, sample('_sum', histogram.sum), sample('_count', total)]
}
