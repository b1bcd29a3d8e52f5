/** `weir rules`: editing, trying and testing rules. */
import type { Command } from 'commander'
import { addRulesBacktest } from './rules-backtest.ts'
import { addRulesEdit } from './rules-edit.ts'
import { addRulesTest } from './rules-test.ts'

const EXAMPLES = `
Examples:
  weir rules list
  weir rules show hot > hot.yaml
  weir rules put hot.yaml
  weir rules backtest --rule hot.yaml --days 30
  weir rules test weir.pipeline.yaml`

export function addRules(program: Command): void {
  const rules = program
    .command('rules')
    .description('edit, try and test rules')
    .addHelpText('after', EXAMPLES)
  addRulesEdit(rules)
  addRulesBacktest(rules)
  addRulesTest(rules)
}
