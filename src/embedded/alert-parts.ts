/** From the configuration and what an engine has to what its alerts are opened with. */
import { openRecipients, openSilences } from '../alerts/books.ts'
import type { AlertParts } from '../alerts/open-alerts.ts'
import { openRuleBook, type PublishedRuleBook, type RuleBookOptions } from '../alerts/rule-book.ts'
import type { Config } from '../config/config.ts'
import type { Control, ControlDatabase } from '../control/control.ts'
import { compileRule } from '../pipeline/compile.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { Query } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import { alertOptions } from './alert-options.ts'

/** More is no better picture. */
const CHART_POINTS_MAX = 500

export interface AlertSources extends Pick<RuleBookOptions, 'publisher'> {
  config: Config
  plan: Plan
  control: Control
  database: ControlDatabase
  query: Query
  /** Of a rule that cannot run, or that waits for the log. */
  onProblem: (problem: string) => void
}

export function alertParts(sources: AlertSources): AlertParts & { rules: PublishedRuleBook } {
  const { config, plan, control, database, query, publisher, onProblem } = sources
  const options = alertOptions(config, `http://127.0.0.1:${config.http.port}`)
  const books = { database, clock: nodeWorld.clock }
  return {
    ...{ database, world: nodeWorld, options },
    rules: openRuleBook({
      ...{ ...books, publisher, plan, onProblem },
      ofDefinition: plan.ruleDefinitions,
      compile: (definition) => compileRule(definition, plan),
    }),
    recipients: openRecipients({
      ...books,
      endpoint: { allowPrivate: options.allowPrivateWebhooks },
    }),
    silences: openSilences(books),
    parentOf: async (tenant, deviceId) => (await control.find(tenant, deviceId))?.parent,
    async readings(tenant, deviceId, metric, startUs, endUs) {
      const { points } = await query.readings({
        ...{ tenant, deviceId, metric, startUs, endUs, dimensions: {}, aggregate: undefined },
        ...{ stepUs: undefined, pointsMax: CHART_POINTS_MAX },
      })
      const numbers = points.filter((one): one is [number, number] => typeof one[1] === 'number')
      return { timesUs: numbers.map(([ms]) => ms * 1000), values: numbers.map(([, one]) => one) }
    },
  }
}
