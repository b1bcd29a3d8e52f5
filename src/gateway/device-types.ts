/**
 * Device types as the decoders use them: every metric of a type has a dense index over all schema
 * versions, so that a device's series are found by index, without a hash, on the fast path.
 */
import type { DeviceType, Metric, Plan } from '../pipeline/pipeline.ts'
import type { Shape } from './shape.ts'

/** A generic type learns metric names as they come; beyond this many they take the slow path. */
const METRICS_LEARNED_MAX = 10_000

export interface MetricRule extends Metric {
  index: number
}

export interface SchemaRules {
  version: number
  isActive: boolean
  byName: Map<string, MetricRule>
  required: MetricRule[]
}

export class GatewayType {
  readonly name: string
  readonly isStrict: boolean
  readonly dimensions: readonly string[]
  readonly takesIngestTime: boolean
  readonly schemas: readonly SchemaRules[]
  /** The newest active one: what a message without `schema` is checked against. */
  readonly current: SchemaRules | undefined
  /** Learned byte templates of this type's messages, the most recently matched first. */
  readonly shapes: Shape[] = []
  readonly #indexes = new Map<string, number>()

  constructor(type: DeviceType) {
    this.name = type.name
    this.isStrict = type.isStrict
    this.dimensions = type.dimensions
    this.takesIngestTime = type.timeSource === 'ingest'
    this.schemas = type.schemas.map((schema) => {
      const rules = schema.metrics.map((metric) => ({
        ...metric,
        index: this.indexOf(metric.name),
      }))
      return {
        version: schema.version,
        isActive: schema.isActive,
        byName: new Map(rules.map((rule) => [rule.name, rule])),
        required: rules.filter((rule) => rule.isRequired),
      }
    })
    this.current = this.schemas.filter((schema) => schema.isActive).at(-1)
  }

  /** Dense index of a metric name, learned at first sight; -1 once too many are known. */
  indexOf(metric: string): number {
    const known = this.#indexes.get(metric)
    if (known !== undefined) return known
    if (this.#indexes.size >= METRICS_LEARNED_MAX) return -1
    this.#indexes.set(metric, this.#indexes.size)
    return this.#indexes.size - 1
  }
}

export class GatewayTypes {
  readonly #byName = new Map<string, GatewayType>()

  constructor(plan: Plan) {
    for (const type of Object.values(plan.types)) this.#byName.set(type.name, new GatewayType(type))
  }

  /**
   * A device may outlive its type's definition; it is then taken as generic, so that what it says
   * is kept rather than refused.
   */
  get(name: string): GatewayType {
    const type = this.#byName.get(name) ?? this.#byName.get('generic')
    if (type === undefined) throw new Error('the plan lacks the built-in type generic')
    return type
  }
}
