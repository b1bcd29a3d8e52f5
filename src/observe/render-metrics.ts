/**
 * Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format). Families stay
 * together, each with one HELP and one TYPE line. Samples of several threads that have the same
 * name and labels are added (a gauge too: queue lengths add up; what must not be added gets a
 * label).
 */
import type { MetricSample } from './observe.ts'

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function renderMetrics(samples: readonly MetricSample[]): string {
  const families = new Map<string, { help: string; type: string; lines: Map<string, number> }>()
  for (const sample of samples) {
    const name = familyName(sample)
    let family = families.get(name)
    if (family === undefined) {
      families.set(name, (family = { help: sample.help, type: sample.type, lines: new Map() }))
    }
    const key = sample.name + renderLabels(sample.labels)
    family.lines.set(key, (family.lines.get(key) ?? 0) + sample.value)
  }
  let text = ''
  for (const [name, { help, type, lines }] of families) {
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`
    for (const [key, value] of lines) text += `${key} ${renderValue(value)}\n`
  }
  return text
}

const familyName = ({ name, type }: MetricSample): string =>
  type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name

function renderLabels(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

function renderValue(value: number): string {
  if (value === Infinity) return '+Inf'
  if (value === -Infinity) return '-Inf'
  return String(value)
}
