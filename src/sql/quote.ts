/** A text as SQL has it. */
export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
