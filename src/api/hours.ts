/** Hours of a recipient or a silence, in the API's words. */
import type { Static } from 'typebox'
import type { Silence } from '../alerts/alerts.ts'
import type { Hours } from './shapes.ts'

type QuietHours = NonNullable<Silence['hours']>

export const hoursOf = ({ from, to, time_zone }: Static<typeof Hours>): QuietHours => ({
  ...{ from, to },
  timeZone: time_zone,
})

export const hoursJson = ({ from, to, timeZone }: QuietHours): Static<typeof Hours> => ({
  ...{ from, to },
  time_zone: timeZone,
})
