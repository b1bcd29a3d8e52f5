/** Device types and their schemas: from the definition's words to the plan's. */
import { suggest, type Path, type Problem } from '../config/config.ts'
import type { MetricDefinition, SchemaDefinition, TypeDefinition } from './definition.ts'
import type { DeviceType, Metric, Schema } from './pipeline.ts'

/** Always present; takes any metric. A definition may only set its dimensions and time source. */
const GENERIC_TYPE = 'generic'

/** Same limit as `gateway.textBytesMax`, so that every value of an enum can be sent. */
const TEXT_BYTES_MAX = 256

export function resolveTypes(
  definitions: Record<string, TypeDefinition>,
  problems: Problem[],
): Record<string, DeviceType> {
  const types = Object.entries({ [GENERIC_TYPE]: {}, ...definitions })
  return Object.fromEntries(
    types.map(([name, definition]) => [name, resolveType(name, definition, problems)]),
  )
}

function resolveType(name: string, definition: TypeDefinition, problems: Problem[]): DeviceType {
  const path = ['types', name]
  const { dimensions = [], timeSource = 'event', schemas } = definition
  const isStrict = name !== GENERIC_TYPE
  if (isStrict && schemas === undefined)
    problems.push({ path, message: '"schemas" is missing, expected at least one schema version' })
  if (!isStrict && schemas !== undefined)
    problems.push({
      path: [...path, 'schemas'],
      message: 'found schemas, expected none: the type generic takes any metric',
    })
  for (const [index, dimension] of dimensions.entries())
    if (dimensions.indexOf(dimension) !== index)
      problems.push({
        path: [...path, 'dimensions', index],
        message: `found "${dimension}" a second time, expected each dimension once`,
      })
  return {
    name,
    isStrict,
    dimensions,
    timeSource,
    schemas: resolveSchemas(path, definition, problems),
  }
}

function resolveSchemas(path: Path, definition: TypeDefinition, problems: Problem[]): Schema[] {
  const { schemas = {}, active } = definition
  const known = Object.keys(schemas)
  for (const [index, version] of (active ?? []).entries())
    if (schemas[version] === undefined)
      problems.push({
        path: [...path, 'active', index],
        message: `found version ${version}, which has no schema${suggest(`${version}`, known)}`,
      })
  return Object.entries(schemas)
    .map(([version, schema]) => ({
      version: Number(version),
      isActive: active?.includes(Number(version)) ?? true,
      metrics: resolveMetrics([...path, 'schemas', version], schema, problems),
    }))
    .toSorted((a, b) => a.version - b.version)
}

function resolveMetrics(path: Path, schema: SchemaDefinition, problems: Problem[]): Metric[] {
  return Object.entries(schema).map(([name, definition]) => {
    checkMetric([...path, name], definition, problems)
    return {
      name,
      type: definition.type ?? 'number',
      unit: definition.unit ?? '',
      min: definition.min ?? -Infinity,
      max: definition.max ?? Infinity,
      isRequired: definition.required ?? true,
      isCritical: definition.critical ?? false,
      values: definition.values,
    }
  })
}

function checkMetric(path: Path, definition: MetricDefinition, problems: Problem[]): void {
  const { type = 'number', min, max, values } = definition
  const isNumber = type === 'number'
  for (const key of ['min', 'max'] as const)
    if (!isNumber && definition[key] !== undefined)
      problems.push({
        path: [...path, key],
        message: `found a bound, expected none: ${type} has none`,
      })
  if (min !== undefined && max !== undefined && min >= max)
    problems.push({
      path: [...path, 'min'],
      message: `found ${min}, expected less than max (${max})`,
    })
  if (values === undefined) return
  if (type !== 'text')
    problems.push({
      path: [...path, 'values'],
      message: `found values, expected none: only type: text has them`,
    })
  for (const [index, value] of values.entries()) {
    const valuePath = [...path, 'values', index]
    if (values.indexOf(value) !== index)
      problems.push({
        path: valuePath,
        message: `found "${value}" a second time, expected it once`,
      })
    if (Buffer.byteLength(value) > TEXT_BYTES_MAX)
      problems.push({ path: valuePath, message: `found a text above ${TEXT_BYTES_MAX} bytes` })
  }
}
