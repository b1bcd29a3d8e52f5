/** How a command says that it failed: title, detail, hint and code on stderr. */
import { InvalidArgumentError } from 'commander'
import { ERRORS, WeirError } from '../errors/errors.ts'
import { printableLines } from './printable.ts'

export function exitCodeOf(error: unknown): number {
  return error instanceof WeirError ? ERRORS[error.code].exit : ERRORS.INTERNAL_FAULT.exit
}

export function printFailure(error: unknown): void {
  if (!(error instanceof WeirError)) {
    // A bug: the stack is what a report needs.
    console.error(`weir: ${ERRORS.INTERNAL_FAULT.title}`)
    console.error(error)
    console.error(`  ${ERRORS.INTERNAL_FAULT.hint}`)
    return
  }
  const { title, hint } = ERRORS[error.code]
  console.error(`weir: ${title} (${error.code})`)
  // The message may quote what a device or a file said.
  const message = printableLines(error.message)
  if (message !== title) console.error(`  ${message.replaceAll('\n', '\n  ')}`)
  console.error(`  ${hint}`)
}

/** A commander argument parser for numbers between bounds. */
export function numberBetween(min: number, max: number, isWhole = true): (text: string) => number {
  return (text) => {
    const value = Number(text)
    const isValid = text.trim() !== '' && value >= min && value <= max
    if (isValid && (!isWhole || Number.isSafeInteger(value))) return value
    throw new InvalidArgumentError(
      `Expected a ${isWhole ? 'whole number' : 'number'} from ${min} to ${max}.`,
    )
  }
}
