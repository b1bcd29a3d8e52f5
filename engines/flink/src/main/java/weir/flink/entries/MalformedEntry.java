package weir.flink.entries;

/** Bytes that are no entry; the message says why, in the words of {@code src/entries}. */
public final class MalformedEntry extends Exception {
  private static final long serialVersionUID = 1;

  public MalformedEntry(String detail) {
    super(detail, null, false, false);
  }
}
