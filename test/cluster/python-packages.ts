/** Packages of Python in a folder of their own, installed once. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execute } from './process.ts'

/** The folder’s `bin`: `python` and the programs of the packages, which are named as for pip. */
export function installPythonPackages(folder: string, packages: readonly string[]): string {
  const bin = join(folder, 'bin')
  if (existsSync(join(folder, 'complete'))) return bin
  execute('python3', ['-m', 'venv', folder])
  const install = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check']
  execute(join(bin, 'python'), [...install, ...packages])
  writeFileSync(join(folder, 'complete'), '')
  return bin
}
