/** Rules that are edited while the pipeline runs, beside those of its definition. */
import { Type, type Static } from 'typebox'
import type { Kept, RuleText } from '../../alerts/alerts.ts'
import { WeirError } from '../../errors/errors.ts'
import { RuleDefinition } from '../../pipeline/pipeline.ts'
import type { AlertPorts } from '../api.ts'
import { ETAG_HEADER, expectedOf, keptAnswer, pageOf, withCurrent } from '../revisions.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { After, Milliseconds, Next, PageLimit } from '../shapes.ts'

const TAG = 'rules'

const { id: RuleId, version: _, ...RULE_KEYS } = RuleDefinition.properties

/** What an answer has beside the rule itself; it may stay there when a rule is sent back. */
const READ_ONLY_KEYS = {
  id: RuleId,
  source: Type.Enum(['api', 'definition'], {
    description: 'definition: of the pipeline definition, and edited there.',
  }),
  revision: Type.Union([Type.Integer(), Type.Null()], { description: 'Null of definition.' }),
  updated_at: Type.Union([Milliseconds, Type.Null()], { description: 'Null of definition.' }),
}

export const Rule = Type.Object({ ...READ_ONLY_KEYS, ...RULE_KEYS })

const RuleBody = Type.Object(
  { ...Type.Partial(Type.Object(READ_ONLY_KEYS)).properties, ...RULE_KEYS },
  { additionalProperties: false },
)

const { device: __, devices: ___, ...TEXT_KEYS } = RULE_KEYS

/** Of one device: its id, or what it says. */
export const DeviceRuleBody = Type.Union(
  [
    Type.String({ minLength: 1, maxLength: 64 }),
    Type.Object({ id: Type.Optional(RuleId), ...TEXT_KEYS }, { additionalProperties: false }),
  ],
  { description: 'The id of a rule, or a rule without devices; its `id` may be left out.' },
)

export const ruleJson = ({ id, revision, updatedAtUs, value }: Kept<RuleText>) => ({
  ...{ id, source: 'api', revision, updated_at: updatedAtUs / 1000 },
  ...value,
})

function definitionJson(definition: RuleDefinition) {
  const { id, version: _, ...text } = definition
  return { id, source: 'definition', revision: null, updated_at: null, ...text }
}

/** Without what only answers have. */
function textOf(body: Static<typeof RuleBody>): RuleText {
  const { id: _, source: __, revision: ___, updated_at: ____, ...text } = body
  return text
}

export const RULE_PROBLEMS = [
  ...(['PIPELINE_RULE_INVALID', 'PIPELINE_DEFINITION_INVALID', 'RULE_OF_DEFINITION'] as const),
  ...(['CONTROL_DEFINITIONS_EXCEEDED', 'CONTROL_REVISION_STALE', 'LOG_DISK_FULL'] as const),
  ...(['CONTROL_WRITE_FAILED', 'CONTROL_UNAVAILABLE'] as const),
]

export function ruleRoutes({ ports }: Services<AlertPorts>): Route[] {
  return [listRoute(ports), getRoute(ports), putRoute(ports), deleteRoute(ports)]
}

function listRoute({ alerts: { rules } }: AlertPorts): Route {
  return jsonRoute({
    key: 'GET /v1/rules',
    summary: 'List rules by id',
    tag: TAG,
    query: Type.Object({ after: After, limit: PageLimit }),
    answers: {
      200: jsonAnswer('One page.', Type.Object({ rules: Type.Array(Rule), next: Next })),
    },
    problems: ['CONTROL_UNAVAILABLE'],
    async handle({ tenant, query: { after, limit = 100 } }) {
      const kept = await rules.list(tenant, { ...(after && { after }), limit: limit + 1 })
      const defined = rules.ofDefinition.filter(({ id }) => id > (after ?? ''))
      const ids = new Set(defined.map(({ id }) => id))
      const all = [
        ...defined.map(definitionJson),
        // One that the definition has by now does not run.
        ...kept.filter(({ id }) => !ids.has(id)).map(ruleJson),
      ].sort((one, other) => (one.id < other.id ? -1 : 1))
      const { items, next } = pageOf(all, limit)
      return { status: 200, json: { rules: items, next } }
    },
  })
}

function getRoute({ alerts: { rules } }: AlertPorts): Route {
  return jsonRoute({
    key: 'GET /v1/rules/{id}',
    summary: 'One rule',
    tag: TAG,
    answers: { 200: jsonAnswer('The rule. With an ETag unless it is of the definition.', Rule) },
    problems: ['API_NOT_FOUND', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, id }) {
      const defined = rules.ofDefinition.find((rule) => rule.id === id)
      if (defined !== undefined) return { status: 200, json: definitionJson(defined) }
      const kept = await rules.find(tenant, id)
      if (kept === undefined) throw unknownRule(id)
      return keptAnswer(kept, { status: 200, json: ruleJson(kept) })
    },
  })
}

const unknownRule = (id: string): WeirError =>
  new WeirError('API_NOT_FOUND', `there is no rule "${id}"`)

function putRoute({ alerts: { rules } }: AlertPorts): Route {
  const description =
    'It runs from a place in the log on, which it has when this answers. With `If-Match` only if ' +
    'the rule is still the one that you saw, with `If-None-Match: *` only if there is none.'
  const answer = { ...jsonAnswer('The rule as it is now.', Rule), headers: ETAG_HEADER }
  return jsonRoute({
    ...{ key: 'PUT /v1/rules/{id}', summary: 'Make or change a rule', description, tag: TAG },
    body: RuleBody,
    answers: { 200: answer, 201: { ...answer, description: 'It is new.' } },
    problems: RULE_PROBLEMS,
    async handle({ tenant, id, body, request }) {
      if (body.id !== undefined && body.id !== id)
        throw new WeirError('API_BODY_INVALID', `id is "${body.id}", in the path "${id}"`)
      const before = await rules.find(tenant, id)
      const expected = await expectedOf(request, async () => before)
      const kept = await withCurrent(ruleJson, () => rules.put(tenant, id, textOf(body), expected))
      return keptAnswer(kept, { status: before === undefined ? 201 : 200, json: ruleJson(kept) })
    },
  })
}

function deleteRoute({ alerts: { rules } }: AlertPorts): Route {
  return jsonRoute({
    key: 'DELETE /v1/rules/{id}',
    summary: 'Remove a rule',
    description: 'It runs no more from a place in the log on. `If-Match` as for PUT.',
    tag: TAG,
    answers: { 204: { description: 'It is gone.' } },
    problems: ['API_NOT_FOUND', ...RULE_PROBLEMS],
    async handle({ tenant, id, request }) {
      if (rules.ofDefinition.some((rule) => rule.id === id))
        throw new WeirError('RULE_OF_DEFINITION')
      const expected = await expectedOf(request, () => rules.find(tenant, id))
      const isGone = await withCurrent(ruleJson, () => rules.remove(tenant, id, expected))
      if (!isGone) throw unknownRule(id)
      return { status: 204 }
    },
  })
}
