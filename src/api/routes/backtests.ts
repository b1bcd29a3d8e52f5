/**
 * Trying rules on what is stored: an answer of lines, so that its end can be waited for in sight.
 */
import type { ServerResponse } from 'node:http'
import { Type } from 'typebox'
import type { BacktestProgress, BacktestReport, RuleReport } from '../../backtest/backtest.ts'
import type { DeviceFacts } from '../../batch/batch.ts'
import { toProblem, WeirError } from '../../errors/errors.ts'
import type { Rule } from '../../pipeline/pipeline.ts'
import type { Clock } from '../../world/world.ts'
import type { BacktestPorts } from '../api.ts'
import { toWeirError } from '../problems.ts'
import { jsonRoute, TAKEN_OVER, type Route } from '../route.ts'
import type { Services } from '../services.ts'

const DAY_US = 86_400_000_000
const DAYS_DEFAULT = 30
const DAYS_MAX = 3660
const RULES_MAX = 1000
const DEVICES_PER_PAGE = 1000
const PROGRESS_MS = 200

const RuleOrId = Type.Union([Type.String(), Type.Object({}, { additionalProperties: true })], {
  expected: 'a rule, or the id of one',
})

export function backtestRoutes({ ports }: Services<BacktestPorts>): Route[] {
  return [
    jsonRoute({
      key: 'POST /v1/rules/backtest',
      summary: 'What rules would have said over the last days',
      description:
        'Lines of JSON (application/x-ndjson): `{"progress": {…}}` now and then, at the end ' +
        '`{"report": {…}}` or `{"problem": {…}}`. Who closes the connection ends the back-test. ' +
        'Nothing is fired, and nobody is told.',
      tag: 'rules',
      body: Type.Object({
        rule: Type.Optional(RuleOrId),
        rules: Type.Optional(Type.Array(RuleOrId, { minItems: 1, maxItems: RULES_MAX })),
        days: Type.Optional(
          Type.Number({ exclusiveMinimum: 0, maximum: DAYS_MAX, default: DAYS_DEFAULT }),
        ),
      }),
      answers: {
        200: {
          description: 'Lines until the report.',
          content: { mediaType: 'application/x-ndjson', schema: Type.String() },
        },
      },
      problems: [
        ...['PIPELINE_RULE_INVALID', 'PIPELINE_DEFINITION_INVALID', 'API_NOT_FOUND'],
        'BACKTEST_RUNNING',
      ] as const,
      async handle({ tenant, body, reply }) {
        const asked = [...(body.rules ?? []), ...(body.rule === undefined ? [] : [body.rule])]
        if (asked.length === 0) throw new WeirError('API_BODY_INVALID', 'rule: it is missing')
        const rules: Rule[] = []
        for (const [at, one] of asked.entries())
          rules.push(await ruleOf(one, at, { ports, tenant }))
        const facts = rules.some(asksOfDevice) ? await factsOf(ports, tenant) : []
        const endUs = ports.clock.nowUs()
        const startUs = Math.round(endUs - (body.days ?? DAYS_DEFAULT) * DAY_US)
        const lines = new Lines(ports.clock)
        const running = ports.backtests.start({ tenant, rules, facts, startUs, endUs }, lines)
        reply.hijack()
        lines.answer(reply.raw, running)
        return TAKEN_OVER
      },
    }),
  ]
}

/** An id is of the pipeline definition's rules, or of those that people edit. */
async function ruleOf(
  asked: string | object,
  at: number,
  { ports, tenant }: { ports: BacktestPorts; tenant: string },
): Promise<Rule> {
  const { plan, backtests, alerts } = ports
  if (typeof asked === 'object') {
    return backtests.compile({ id: `rule-${at + 1}`, ...asked })
  }
  const ofDefinition = plan.rules.find(({ id }) => id === asked)
  if (ofDefinition !== undefined) return ofDefinition
  const edited = await alerts?.rules.find(tenant, asked)
  if (edited === undefined) throw new WeirError('API_NOT_FOUND', `there is no rule "${asked}"`)
  return backtests.compile({ ...edited.value, id: asked })
}

const asksOfDevice = ({ tags, variables }: Rule): boolean =>
  Object.keys(tags).length > 0 || variables.some(({ of }) => of === 'device')

/** As the registry has them now. */
async function factsOf({ control }: BacktestPorts, tenant: string): Promise<DeviceFacts[]> {
  const facts: DeviceFacts[] = []
  for (let after: string | undefined; ;) {
    const page = await control.listDevices(tenant, { after, limit: DEVICES_PER_PAGE })
    for (const { number, id, type, location, tags, parent } of page) {
      facts.push({ device: number, tenant, deviceId: id, deviceType: type, location, tags, parent })
    }
    if (page.length < DEVICES_PER_PAGE) return facts
    after = page.at(-1)!.id
  }
}

/** The answer while a back-test is under way. */
class Lines {
  readonly #clock: Clock
  readonly #abort = new AbortController()
  readonly signal = this.#abort.signal
  #response: ServerResponse | undefined
  #toldMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  readonly onProgress = (progress: BacktestProgress): void => {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldMs < PROGRESS_MS) return
    this.#toldMs = nowMs
    const { readings, devicesDone, devicesTotal } = progress
    this.#say({ progress: { readings, devices_done: devicesDone, devices_total: devicesTotal } })
  }

  answer(response: ServerResponse, running: Promise<BacktestReport>): void {
    this.#response = response
    response.on('close', () => this.#abort.abort(new WeirError('GATEWAY_SHUTTING_DOWN')))
    response.on('error', () => {})
    response.writeHead(200, {
      'content-type': 'application/x-ndjson; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.flushHeaders()
    running.then(
      (report) => this.#end({ report: reportJson(report) }),
      (error: unknown) => this.#end({ problem: toProblem(toWeirError(error)) }),
    )
  }

  #say(line: object): void {
    this.#response?.write(`${JSON.stringify(line)}\n`)
  }

  #end(line: object): void {
    this.#say(line)
    this.#response?.end()
  }
}

const ms = (us: number): number => Math.floor(us / 1000)

const reportJson = ({ startUs, endUs, rules, ...counts }: BacktestReport) => ({
  ...{ start: ms(startUs), end: ms(endUs), ...counts, rules: rules.map(ruleJson) },
})

const ruleJson = ({
  ruleId,
  firingUs,
  days,
  noisiest,
  longest,
  budget,
  ...counts
}: RuleReport) => ({
  ...{ rule_id: ruleId, ...counts, firing_ms: ms(firingUs) },
  days: days.map(({ startUs, episodes, alerts }) => ({ start: ms(startUs), episodes, alerts })),
  noisiest: noisiest.map(({ deviceId, ...counts }) => ({ device_id: deviceId, ...counts })),
  longest: longest.map(({ deviceId, triggeredAtUs, resolvedAtUs }) => ({
    ...{ device_id: deviceId, triggered_at: ms(triggeredAtUs) },
    resolved_at: resolvedAtUs === undefined ? null : ms(resolvedAtUs),
  })),
  budget: budget && {
    ...{ alerts: budget.alerts, per_ms: ms(budget.perUs), most: budget.most },
    ...{ most_from: ms(budget.mostFromUs), is_kept: budget.isKept },
  },
})

/** What a client reads in the last line. */
export type ReportJson = ReturnType<typeof reportJson>
export type RuleReportJson = ReturnType<typeof ruleJson>
