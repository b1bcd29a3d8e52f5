/** What a silence must be: errors name the key and what it should be. */
import { WeirError } from '../errors/errors.ts'
import { refusalOfQuietHours } from '../notify/notify.ts'
import type { Silence } from './alerts.ts'
import { isName, NAME_EXPECTED } from './names.ts'

const COMMENT_CHARACTERS_MAX = 1000

/** Errors: ALERT_SILENCE_INVALID. */
export function checkSilence(id: string, silence: Silence): void {
  const { comment, fromUs, untilUs, hours, days } = silence
  if (!isName(id)) throw invalid('id', NAME_EXPECTED)
  if (comment.length > COMMENT_CHARACTERS_MAX)
    throw invalid('comment', `expected at most ${COMMENT_CHARACTERS_MAX} characters`)
  if (untilUs <= fromUs) throw invalid('until', 'lies before from')
  const refusal = hours === undefined ? undefined : refusalOfQuietHours(hours)
  if (refusal !== undefined) throw invalid('hours', refusal)
  const isDay = (day: number): boolean => Number.isInteger(day) && day >= 1 && day <= 7
  if (days === undefined) return
  if (days.length === 0 || !days.every(isDay) || new Set(days).size !== days.length)
    throw invalid('days', 'expected days from 1 (Monday) to 7, each once')
  // Whose days would they be?
  if (hours === undefined) throw invalid('days', 'expected hours with a time zone beside them')
}

const invalid = (key: string, problem: string): WeirError =>
  new WeirError('ALERT_SILENCE_INVALID', `${key}: ${problem}`)
