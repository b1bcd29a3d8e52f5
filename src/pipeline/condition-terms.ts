/** What a condition may ask of a device: a metric, a function of one, or what the registry says. */
import type { ASTNode } from '@marcbachmann/cel-js'
import type { DeviceVariable, MetricVariable } from './pipeline.ts'

export type Term =
  | { of: MetricVariable['of']; metric: string; label: string; argument: ASTNode }
  | {
      of: 'device'
      field: DeviceVariable['field']
      tag: string
      kind: 'text' | 'number'
      label: string
    }

/** What stands in a rule on readings, and in one on a window, around a metric's name. */
const ON_READINGS = ['rate', 'delta', 'previous'] as const
const ON_WINDOWS = [
  ...(['avg', 'min', 'max', 'sum', 'count', 'stddev'] as const),
  ...(['first', 'last', 'rate'] as const),
]
export const functionsOf = (isWindowed: boolean): readonly MetricVariable['of'][] =>
  isWindowed ? ON_WINDOWS : ON_READINGS
const FUNCTIONS: readonly MetricVariable['of'][] = [...ON_READINGS, ...ON_WINDOWS]

const DEVICE_FIELDS: readonly string[] = ['id', 'type', 'location']

/** The term that a node is, if it is one. */
export function termOf(node: ASTNode): Term | undefined {
  if (node.op === 'call') return callTerm(node.args)
  const device = deviceTerm(node)
  if (device !== undefined) return device
  const metric = metricName(node)
  return metric === undefined ? undefined : { of: 'latest', metric, label: metric, argument: node }
}

function callTerm([name, args]: [string, ASTNode[]]): Term | undefined {
  const [argument] = args
  if (argument === undefined || args.length !== 1) return undefined
  const device = deviceTerm(argument)
  if (name === 'number' && device !== undefined)
    return { ...device, kind: 'number', label: `number(${device.label})` }
  const metric = metricName(argument)
  const of = FUNCTIONS.find((one) => one === name)
  if (of === undefined || metric === undefined || device !== undefined) return undefined
  return { of, metric, label: `${of}(${metric})`, argument }
}

/** `device.id`, `device.tags.site` or `device.tags["site"]`. */
function deviceTerm(node: ASTNode): Extract<Term, { of: 'device' }> | undefined {
  if (node.op === '[]') {
    const [object, key] = node.args
    const isTags = metricName(object) === 'device.tags' && object.op === '.'
    if (!isTags || key.op !== 'value' || typeof key.args !== 'string') return undefined
    return tagTerm(key.args)
  }
  if (node.op !== '.') return undefined
  const [object, field] = node.args
  if (metricName(object) === 'device.tags' && object.op === '.') return tagTerm(field)
  const isDevice = object.op === 'id' && object.args === 'device'
  if (!isDevice || !DEVICE_FIELDS.includes(field)) return undefined
  const known = field as 'id' | 'type' | 'location'
  return { of: 'device', field: known, tag: '', kind: 'text', label: `device.${field}` }
}

const tagTerm = (tag: string): Extract<Term, { of: 'device' }> => ({
  ...{ of: 'device', field: 'tag', tag, kind: 'text' },
  label: `device.tags.${tag}`,
})

/** The metric that a node names, if it names one: `a`, `a.b` or `metrics["a b"]`. */
function metricName(node: ASTNode): string | undefined {
  if (node.op === 'id') return node.args
  if (node.op === '.') {
    const [object, field] = node.args
    const prefix = metricName(object)
    return prefix === undefined ? undefined : `${prefix}.${field}`
  }
  if (node.op !== '[]') return undefined
  const [object, key] = node.args
  const isMetrics = object.op === 'id' && object.args === 'metrics'
  return isMetrics && key.op === 'value' && typeof key.args === 'string' ? key.args : undefined
}
