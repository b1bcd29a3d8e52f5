/**
 * Debian's libfaketime lies to a process about the wall clock, and leaves the monotonic one alone.
 * A file says how far off it is: `+0`, `+1d`, `-90`.
 */
import { writeFileSync } from 'node:fs'
import { missingTool, run } from './weir-process.ts'

/** The variables that make a process believe the file `clock`, or why it cannot be done here. */
export async function fakedClock(clock: string): Promise<string | NodeJS.ProcessEnv> {
  const missing = await missingTool('faketime')
  if (missing !== false) return missing
  const { stdout } = await run('faketime', ['-f', '+0', 'env'])
  const library = /^LD_PRELOAD=(.*)libfaketime\.so\.1$/m.exec(stdout)?.[1]
  if (library === undefined) return 'faketime says nothing of its library'
  writeFileSync(clock, '+0\n')
  return {
    LD_PRELOAD: `${library}libfaketimeMT.so.1`,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  }
}
