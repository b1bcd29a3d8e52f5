/** `weir rules`: editing, trying and testing rules. */
import type { Command } from 'commander'
import { addRulesEdit } from './rules-edit.ts'

const EXAMPLES = `
Examples:
  weir rules list
  weir rules show hot > hot.yaml
  weir rules put hot.yaml`

export function addRules(program: Command): void {
  const rules = program
    .command('rules')
    .description('edit, try and test rules')
    .addHelpText('after', EXAMPLES)
  addRulesEdit(rules)
}
