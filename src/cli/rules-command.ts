/** `weir rules`: trying and testing rules. */
import type { Command } from 'commander'
import { addRulesBacktest } from './rules-backtest.ts'
import { addRulesTest } from './rules-test.ts'

export function addRules(program: Command): void {
  const rules = program.command('rules').description('try and test rules')
  addRulesBacktest(rules)
  addRulesTest(rules)
}
