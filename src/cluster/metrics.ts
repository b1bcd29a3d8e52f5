/** A sample of a counter without labels, or with some. */
import type { MetricSample } from '../observe/observe.ts'

export const metric = (
  name: string,
  help: string,
  value: number,
  labels: Record<string, string> = {},
): MetricSample => ({
  name,
  help,
  type: name.endsWith('_total') ? 'counter' : 'gauge',
  labels,
  value,
})
