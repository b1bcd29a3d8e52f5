/**
 * `engines/flink`: its tests by Maven, against the same vectors as the TypeScript operators. With
 * the services' tests, as they need the same Java and take as long; jobs are in
 * `flink-job.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { execute, findProgram } from './process.ts'

const folder = fileURLToPath(new URL('../../engines/flink', import.meta.url))

function missing(): string | undefined {
  if (process.env['WEIR_CLUSTER'] === 'off') return 'npm run test:cluster runs it'
  const program = ['javac', 'mvn'].find((name) => findProgram(name) === undefined)
  return program === undefined ? undefined : `${program} is not installed`
}

test('the operators of engines/flink pass their tests', { skip: missing() ?? false }, () => {
  const said = execute('mvn', ['-B', '-ntp', 'package'], { cwd: folder })
  const [, count] = /Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0\n/.exec(said) ?? []
  assert.ok(Number(count) > 100, said)
})
