import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BodyBudget } from './body-budget.ts'

const KIB = 1024

test('one credential gets a quarter, all together the whole, and small bodies are free', () => {
  const budget = new BodyBudget(1024 * KIB)
  const shares = Array.from({ length: 4 }, () => budget.open('a'))
  for (const share of shares) share.grow(128 * KIB) // 64 KiB of each count.
  assert.equal(budget.bytes, 256 * KIB)
  assert.throws(() => budget.open('a').grow(65 * KIB), { code: 'GATEWAY_OVERLOADED' })
  budget.open('a').grow(64 * KIB)
  for (const owner of ['b', 'c', 'd']) budget.open(owner).grow(320 * KIB)
  assert.throws(() => budget.open('e').grow(65 * KIB), { code: 'GATEWAY_OVERLOADED' })
  shares[0]!.release()
  shares[0]!.release()
  budget.open('e').grow(128 * KIB)
  assert.equal(budget.bytes, 1024 * KIB)
})

test('what was released takes nothing, whatever still comes', () => {
  const budget = new BodyBudget(1024 * KIB)
  const share = budget.open('a')
  share.grow(100 * KIB)
  share.release()
  share.grow(100 * KIB)
  assert.equal(budget.bytes, 0)
})
