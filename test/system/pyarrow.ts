/** A Python that has pyarrow. */
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { CACHE } from '../cluster/cluster.ts'
import { findProgram } from '../cluster/process.ts'
import { installPythonPackages } from '../cluster/python-packages.ts'

const PYARROW = 'pyarrow==26.0.1'

/** Its path; undefined: there is none, and the test is skipped. */
export function pythonWithPyarrow(context: TestContext): string | undefined {
  if (findProgram('python3') === undefined) {
    context.skip('python3 is not installed')
    return undefined
  }
  try {
    return join(installPythonPackages(join(CACHE, PYARROW.replace('==', '-')), [PYARROW]), 'python')
  } catch (cause) {
    context.skip(`pip cannot install ${PYARROW}: ${String(cause)}`)
    return undefined
  }
}
