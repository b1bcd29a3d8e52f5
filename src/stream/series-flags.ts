/** One byte a series, for the hot path: what is to be done with its readings. */
export const SERIES_KNOWN = 1
/** Numbers and booleans (as 0 and 1) have windows; texts have none. */
export const SERIES_WINDOWED = 2
export const SERIES_DETECTED = 4
/** Changes with the rules. */
export const SERIES_RULED = 8
/** Beside it: rules look at how far and how fast its values go. Changes with the rules, too. */
export const SERIES_PACED = 16
/** Rules look at its windows. Changes with the rules. */
export const SERIES_WINDOW_RULED = 32
export const SERIES_OF_RULES = SERIES_RULED | SERIES_PACED | SERIES_WINDOW_RULED
export const SERIES_WATCHED = SERIES_DETECTED | SERIES_RULED
