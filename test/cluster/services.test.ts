/** The harness itself: what it says runs, runs, and comes back on its data after a `kill -9`. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { test } from 'node:test'
import { accessOf, killService, RECIPES, restartService, STATE_FILE } from './cluster.ts'

/** Suites of their own kill these again and again. */
const OTHERS = ['kafka', 'flink']

for (const recipe of RECIPES.filter(({ name }) => !OTHERS.includes(name))) {
  const { name } = recipe
  const access = accessOf(name)
  const skip = access === undefined ? `it does not run: npm run -s cluster:up -- ${name}` : false
  test(`${name} answers, and after a kill -9 again`, { skip }, async () => {
    assert.ok(await recipe.answers(access!))
    await killService(name)
    assert.equal(accessOf(name), undefined)
    assert.ok(!(await recipe.answers(access!)), 'it was this process')
    await restartService(name)
    assert.deepEqual(accessOf(name), access)
  })
}

const skip = RECIPES.every(({ name }) => accessOf(name) === undefined) && 'no service runs'
test('only its owner reads the passwords', { skip }, () => {
  assert.equal(statSync(STATE_FILE).mode & 0o777, 0o600)
})
