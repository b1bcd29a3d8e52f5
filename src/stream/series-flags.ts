/** One byte a series, for the hot path: what is to be done with its readings. */
export const SERIES_KNOWN = 1
/** Numbers and booleans (as 0 and 1) have windows; texts have none. */
export const SERIES_WINDOWED = 2
export const SERIES_DETECTED = 4
/** Changes with the rules. */
export const SERIES_RULED = 8
export const SERIES_WATCHED = SERIES_DETECTED | SERIES_RULED
