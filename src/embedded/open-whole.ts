/**
 * What is opened puts its closing on the stack, which whoever has it runs from the top. After an
 * error all that was opened is closed again.
 */
export async function openWhole<T>(open: (opened: AsyncDisposableStack) => Promise<T>): Promise<T> {
  const opened = new AsyncDisposableStack()
  try {
    return await open(opened)
  } catch (error) {
    // A closing that fails, too, follows from this error and says less.
    await opened.disposeAsync().catch(() => undefined)
    throw error
  }
}
