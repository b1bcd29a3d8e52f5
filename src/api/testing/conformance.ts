/**
 * Holds answers against the OpenAPI document: a status, header or body that it does not know fails.
 */
import assert from 'node:assert/strict'
import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import type { Reply } from './api-bench.ts'

interface Content {
  schema: TSchema & { $ref?: string }
}

export interface OpenApiOperation {
  operationId: string
  security: Record<string, string[]>[]
  parameters: { name: string; in: string; required: boolean; schema: object }[]
  requestBody?: { content: Record<string, Content> }
  responses: Record<
    string,
    { description: string; headers?: object; content?: Record<string, Content> }
  >
}

export interface OpenApiDocument {
  openapi: string
  paths: Record<string, Record<string, OpenApiOperation>>
  components: { schemas: Record<string, TSchema>; securitySchemes: Record<string, object> }
  tags: { name: string }[]
}

export class Conformance {
  readonly #document: OpenApiDocument
  readonly #validators = new Map<TSchema, Validator>()

  constructor(document: OpenApiDocument) {
    this.#document = document
  }

  check(target: string, reply: Reply): void {
    const [method = '', url = ''] = target.split(/ (.*)/s)
    const path = url.split('?', 1)[0] ?? ''
    const contentType = String(reply.headers['content-type'] ?? '')
    if (reply.status >= 400) {
      assert.equal(contentType, 'application/problem+json', `${target}: ${reply.text}`)
      this.#fits(this.#document.components.schemas['Problem']!, reply, target)
      assert.equal(reply.json.status, reply.status)
    }
    const operation = this.#operation(method.toLowerCase(), path)
    if (operation === undefined) return
    const answer = operation.responses[String(reply.status)]
    assert.ok(answer, `${target} answers ${reply.status}, which is not in the document`)
    for (const name of Object.keys(answer.headers ?? {})) {
      assert.ok(reply.headers[name.toLowerCase()] !== undefined, `${target}: header ${name}`)
    }
    const contents = Object.entries(answer.content ?? {})
    if (contents.length === 0) return assert.equal(reply.text, '', target)
    const content = contents.find(([mediaType]) => contentType.startsWith(mediaType))
    assert.ok(content !== undefined, `${target}: ${contentType}`)
    const [, { schema }] = content
    if (schema.$ref === undefined && reply.json !== undefined) this.#fits(schema, reply, target)
  }

  #operation(method: string, path: string): OpenApiOperation | undefined {
    const entry = Object.entries(this.#document.paths).find(([pattern]) =>
      new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
    )
    return entry?.[1][method]
  }

  #fits(schema: TSchema, reply: Reply, target: string): void {
    let validator = this.#validators.get(schema)
    if (validator === undefined) {
      this.#validators.set(schema, (validator = Compile(schema)))
    }
    const problems = validator.Errors(reply.json).map((e) => `${e.instancePath} ${e.message}`)
    assert.deepEqual(problems, [], `${target}: ${reply.text}`)
  }
}
