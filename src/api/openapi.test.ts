/**
 * The document's structure, by the rules of OpenAPI 3.1; that answers fit it is checked at every
 * call.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Compile } from 'typebox/compile'
import { ACCESS } from './access.ts'
import { startBench } from './testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(() => bench.close())

const operations = () =>
  Object.entries(bench.document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )

test('every route is in the document, and nothing else', () => {
  const documented = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`)
  assert.deepEqual(documented.toSorted(), Object.keys(ACCESS).toSorted())
})

test('operation ids are unique, path parameters declared, tags and security schemes known', () => {
  assert.equal(bench.document.openapi, '3.1.0')
  const ids = operations().map(({ operation }) => operation.operationId)
  assert.equal(new Set(ids).size, ids.length)
  const tags = bench.document.tags.map(({ name }) => name)
  for (const { path, operation } of operations()) {
    const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
    const declared = operation.parameters.filter((parameter) => parameter.in === 'path')
    assert.deepEqual(
      declared.map(({ name }) => name),
      inPath,
    )
    assert.ok(declared.every(({ required }) => required))
    for (const scheme of operation.security.flatMap((choice) => Object.keys(choice))) {
      assert.ok(scheme in bench.document.components.securitySchemes)
    }
    assert.ok((operation as unknown as { tags: string[] }).tags.every((tag) => tags.includes(tag)))
  }
})

test('every response has a description, every schema compiles, every reference leads somewhere', () => {
  for (const { operation, path } of operations()) {
    assert.ok(
      Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)),
      path,
    )
    for (const [status, response] of Object.entries(operation.responses)) {
      assert.match(status, /^[2-5]\d\d$/)
      assert.ok(response.description.length > 0)
      for (const { schema } of Object.values(response.content ?? {})) {
        if (schema.$ref === undefined) Compile(schema)
        else
          assert.ok(
            schema.$ref.replace('#/components/schemas/', '') in bench.document.components.schemas,
          )
      }
    }
    for (const { schema } of operation.parameters) Compile(schema)
    for (const { schema } of Object.values(operation.requestBody?.content ?? {})) Compile(schema)
  }
})
