package weir.flink.entries;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Reads Avro's binary encoding, and never beyond its end. Refuses what {@code
 * src/entries/avro-reader.ts} refuses: each number has one way to be written, since names are known
 * again by their bytes, and none is beyond what JavaScript holds exactly.
 */
public final class AvroReader {
  /** Zigzag, so of numbers from -2^52 to 2^52. */
  private static final long RAW_MAX = 1L << 53;

  private static final String NOT_SHORTEST = "a number has more bytes than it needs";

  byte[] bytes = {};
  int at;
  private int end;

  public void reset(byte[] bytes, int from, int to) {
    this.bytes = bytes;
    at = from;
    end = to;
  }

  public int at() {
    return at;
  }

  public long number() throws MalformedEntry {
    int next = next();
    if (next < 0x80) return (next >>> 1) ^ -(next & 1);
    long raw = next & 0x7f;
    int shift = 7;
    for (; next >= 0x80; shift += 7) {
      next = next();
      // Ten bytes hold 64 bits; what they hold beyond 53 is refused.
      if (shift > 63) throw new MalformedEntry("a number is too large");
      long bits = next & 0x7f;
      if (bits != 0 && (shift >= 53 || bits >= RAW_MAX >>> shift))
        throw new MalformedEntry("a number is too large");
      raw |= bits << shift;
    }
    if (next == 0) throw new MalformedEntry(NOT_SHORTEST);
    return (raw >>> 1) ^ -(raw & 1);
  }

  public double real() throws MalformedEntry {
    int from = skip(Double.BYTES);
    long bits = 0;
    for (int i = Double.BYTES - 1; i >= 0; i--) bits = bits << 8 | (bytes[from + i] & 0xff);
    return Double.longBitsToDouble(bits);
  }

  public boolean bool() throws MalformedEntry {
    int next = next();
    if (next > 1) throw new MalformedEntry("a boolean is neither 0 nor 1");
    return next == 1;
  }

  /** Skips bytes, and returns where they begin; they end at {@link #at}. */
  public int bytes() throws MalformedEntry {
    long length = number();
    if (length < 0) throw new MalformedEntry("a length below zero");
    return skip(length);
  }

  /** Skips a text, which must be one, and returns where its bytes begin. */
  public int text() throws MalformedEntry {
    int from = bytes();
    for (int i = from; i < at; i++)
      if (bytes[i] < 0) {
        string(from, at);
        break;
      }
    return from;
  }

  public String string() throws MalformedEntry {
    int from = bytes();
    return string(from, at);
  }

  private String string(int from, int to) throws MalformedEntry {
    try {
      ByteBuffer text = ByteBuffer.wrap(bytes, from, to - from);
      return StandardCharsets.UTF_8.newDecoder().decode(text).toString();
    } catch (CharacterCodingException error) {
      throw new MalformedEntry("a text is not UTF-8");
    }
  }

  /** How many items the block of a map has that begins here; 0 at the map's end. */
  public long blockCount() throws MalformedEntry {
    long count = number();
    if (count >= 0) return count;
    // A block may say its size in bytes first.
    number();
    return -count;
  }

  public void finish() throws MalformedEntry {
    if (at != end) throw new MalformedEntry((end - at) + " bytes behind the end");
  }

  private int next() throws MalformedEntry {
    if (at >= end) throw new MalformedEntry("it is cut short");
    return bytes[at++] & 0xff;
  }

  private int skip(long count) throws MalformedEntry {
    if (count > end - at) throw new MalformedEntry("it is cut short");
    int from = at;
    at += (int) count;
    return from;
  }
}
