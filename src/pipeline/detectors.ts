/** What detectors and rules may name, by the types that they watch; and detectors themselves. */
import type { ValueKind } from '../batch/batch.ts'
import { suggest, type Path, type Problem } from '../config/config.ts'
import type { Scope } from './condition-kinds.ts'
import type { DetectorDefinition } from './definition.ts'
import type { Detector, DeviceType } from './pipeline.ts'

export interface Context {
  types: Record<string, DeviceType>
  /** Declared, but with problems of their own; what watches them cannot be checked. */
  unsoundTypes: ReadonlySet<string>
  problems: Problem[]
}

/** Items with their places in the list as written. */
export type Items<Definition> = [number, Definition][]

export function resolveDetectors(items: Items<DetectorDefinition>, context: Context): Detector[] {
  checkIds('detectors', items, context.problems)
  return items.map(([index, { id, type, metric, zscore }]) => {
    const path = ['detectors', index]
    const scope = scopeOf(type, path, context)
    if (scope !== undefined)
      checkDetectorMetric(metric, scope, [...path, 'metric'], context.problems)
    return { id, type, metric, kind: 'zscore', n: zscore.n, threshold: zscore.threshold }
  })
}

function checkDetectorMetric(
  name: string,
  scope: Omit<Scope, 'isWindowed'>,
  path: Path,
  problems: Problem[],
): void {
  const { kinds, ambiguous, isOpen, title } = scope
  const kind = kinds.get(name)
  if (kind === undefined && !isOpen)
    problems.push({
      path,
      message: `found "${name}", which ${title} does not have${suggest(name, [...kinds.keys()])}`,
    })
  if (ambiguous.has(name))
    problems.push({
      path,
      message: `found "${name}", whose kind differs between schemas`,
    })
  else if (kind !== undefined && kind !== 'number')
    problems.push({ path, message: `found "${name}", which is a ${kind}, expected a number` })
}

export function checkIds(section: string, items: Items<{ id: string }>, problems: Problem[]): void {
  const seen = new Set<string>()
  for (const [index, { id }] of items) {
    if (seen.has(id))
      problems.push({
        path: [section, index, 'id'],
        message: `found "${id}" a second time, expected ids to be unique`,
      })
    seen.add(id)
  }
}

/**
 * The metrics that a detector or rule may name: those that every active schema of the type has;
 * without a type, those of any type. A metric must be of one kind in all of them.
 */
export function scopeOf(
  type: string | undefined,
  path: Path,
  context: Context,
): Omit<Scope, 'isWindowed'> | undefined {
  const { types, unsoundTypes, problems } = context
  if (type !== undefined && unsoundTypes.has(type)) return undefined
  if (type !== undefined && !Object.hasOwn(types, type)) {
    const declared = [...Object.keys(types), ...unsoundTypes]
    problems.push({
      path: [...path, 'type'],
      message: `found "${type}", expected a declared type${suggest(type, declared)}`,
    })
    return undefined
  }
  const chosen = type === undefined ? Object.values(types) : [types[type]!]
  const isOpen = chosen.some(({ isStrict }) => !isStrict)
  const title = type === undefined ? 'no type' : `type ${type} (in every active schema)`
  return { ...commonKinds(chosen), isOpen, title }
}

function commonKinds(types: DeviceType[]): Pick<Scope, 'kinds' | 'ambiguous' | 'units'> {
  const kinds = new Map<string, ValueKind>()
  const units = new Map<string, string>()
  const ambiguous = new Set<string>()
  for (const { schemas } of types) {
    const active = schemas.filter(({ isActive }) => isActive)
    for (const { name, type, unit } of active.flatMap(({ metrics }) => metrics)) {
      if (!active.every(({ metrics }) => metrics.some((metric) => metric.name === name))) continue
      if (kinds.has(name) && kinds.get(name) !== type) ambiguous.add(name)
      kinds.set(name, type)
      units.set(name, (units.get(name) ?? unit) === unit ? unit : '')
    }
  }
  return { kinds, ambiguous, units }
}
