package weir.flink.entries;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * One entry of the telemetry topic, read in place: who, when, and readings as columns. One object
 * serves any number of entries. Its schema is {@code MESSAGE_SCHEMA} of {@code src/entries}; the twin
 * of {@code message-decoder.ts}, which refuses the same.
 */
public final class Message {
  public static final int NUMBER = 0;
  public static final int BOOLEAN = 1;
  public static final int TEXT = 2;
  public static final int KINDS = 3;

  private static final int HISTORICAL = 1;
  private static final int READINGS_MAX = 65_535;
  private static final int IDENTITY_BYTES = 8;

  /** Where tenant, device and type are. */
  private int tenantAt;

  private int tenantEnd;
  private int deviceAt;
  private int deviceEnd;
  private int typeAt;
  private int typeEnd;
  private int dimensionsAt;
  private int dimensionsEnd;
  private int flags;
  private long eventUs;
  private long ingestUs;
  private long identity;
  private int count;
  private int[] kinds = new int[16];
  private int[] starts = new int[16];
  private int[] nameAts = new int[16];
  private int[] nameEnds = new int[16];
  private int[] ends = new int[16];
  private double[] values = new double[16];
  /** Where each kind's map begins. */
  private final int[] mapAts = new int[KINDS + 1];

  private final AvroReader reader = new AvroReader();

  /** The bytes must not change while this is used. */
  public void read(byte[] bytes, int from, int to) throws MalformedEntry {
    reader.reset(bytes, from, to);
    tenantAt = reader.text();
    tenantEnd = reader.at;
    deviceAt = reader.text();
    deviceEnd = reader.at;
    typeAt = reader.text();
    typeEnd = reader.at;
    eventUs = reader.number();
    ingestUs = reader.number();
    long given = reader.number();
    if (given < 0 || given > 0xff) throw new MalformedEntry("flags beyond a byte");
    flags = (int) given;
    readIdentity();
    dimensionsAt = reader.at;
    for (long left = reader.blockCount(); left > 0; left = reader.blockCount())
      for (; left > 0; left--) {
        reader.text();
        reader.text();
      }
    dimensionsEnd = reader.at;
    count = 0;
    for (int kind = 0; kind < KINDS; kind++) {
      mapAts[kind] = reader.at;
      readMap(kind);
    }
    mapAts[KINDS] = reader.at;
    reader.finish();
    if (!isOfNobody() && count == 0) throw new MalformedEntry("a message without readings");
  }

  private void readIdentity() throws MalformedEntry {
    int start = reader.bytes();
    int length = reader.at - start;
    if (length != 0 && length != IDENTITY_BYTES)
      throw new MalformedEntry("an identity of " + length + " bytes");
    identity = 0;
    for (int i = start; i < reader.at; i++) identity = identity << 8 | (reader.bytes[i] & 0xff);
  }

  private void readMap(int kind) throws MalformedEntry {
    for (long left = reader.blockCount(); left > 0; left = reader.blockCount()) {
      if (isOfNobody()) throw new MalformedEntry("readings of no device");
      if (count + left > READINGS_MAX) throw new MalformedEntry("too many readings");
      for (; left > 0; left--) readReading(kind);
    }
  }

  private void readReading(int kind) throws MalformedEntry {
    if (count == values.length) grow();
    kinds[count] = kind;
    starts[count] = reader.at;
    nameAts[count] = reader.text();
    nameEnds[count] = reader.at;
    values[count] = readValue(kind);
    ends[count++] = reader.at;
  }

  private double readValue(int kind) throws MalformedEntry {
    if (kind == BOOLEAN) return reader.bool() ? 1 : 0;
    if (kind == TEXT) {
      int start = reader.text();
      return textId(reader.bytes, start, reader.at);
    }
    double value = reader.real();
    // One would make every sum that it comes into one of its kind.
    if (!Double.isFinite(value)) throw new MalformedEntry("a reading that is no finite number");
    return value;
  }

  private void grow() {
    int length = count * 2;
    kinds = Arrays.copyOf(kinds, length);
    starts = Arrays.copyOf(starts, length);
    nameAts = Arrays.copyOf(nameAts, length);
    nameEnds = Arrays.copyOf(nameEnds, length);
    ends = Arrays.copyOf(ends, length);
    values = Arrays.copyOf(values, length);
  }

  /** A tick, or what is told beside messages. */
  public boolean isOfNobody() {
    return deviceAt == deviceEnd;
  }

  public boolean isHistorical() {
    return (flags & HISTORICAL) != 0;
  }

  public long eventUs() {
    return eventUs;
  }

  public long ingestUs() {
    return ingestUs;
  }

  /** 0: none. */
  public long identity() {
    return identity;
  }

  public int count() {
    return count;
  }

  public int kind(int reading) {
    return kinds[reading];
  }

  /** A boolean is 0 or 1, a text its {@link #textId}. */
  public double value(int reading) {
    return values[reading];
  }

  public boolean hasName(int reading, byte[] name) {
    return Arrays.equals(
        reader.bytes, nameAts[reading], nameEnds[reading], name, 0, name.length);
  }

  public byte[] name(int reading) {
    return copy(nameAts[reading], nameEnds[reading]);
  }

  /** {@code tenant/device}. */
  public byte[] key() {
    int tenant = tenantEnd - tenantAt;
    int device = deviceEnd - deviceAt;
    byte[] key = new byte[tenant + 1 + device];
    System.arraycopy(reader.bytes, tenantAt, key, 0, tenant);
    key[tenant] = '/';
    System.arraycopy(reader.bytes, deviceAt, key, tenant + 1, device);
    return key;
  }

  public byte[] tenant() {
    return copy(tenantAt, tenantEnd);
  }

  public byte[] device() {
    return copy(deviceAt, deviceEnd);
  }

  public byte[] type() {
    return copy(typeAt, typeEnd);
  }

  /** As they are written. */
  public byte[] dimensions() {
    return copy(dimensionsAt, dimensionsEnd);
  }

  public boolean hasDimensions(byte[] written) {
    return Arrays.equals(
        reader.bytes, dimensionsAt, dimensionsEnd, written, 0, written.length);
  }

  /** The same entry with the readings that are kept, of which there is one at least. */
  public byte[] without(boolean[] isDropped) {
    AvroWriter writer = new AvroWriter();
    int from = tenantAt - varintBytes(tenantEnd - tenantAt);
    writer.raw(reader.bytes, from, mapAts[0] - from);
    int reading = 0;
    for (int kind = 0; kind < KINDS; kind++) {
      int first = reading;
      int kept = 0;
      for (; reading < count && kinds[reading] == kind; reading++) if (!isDropped[reading]) kept++;
      if (kept > 0) {
        writer.number(kept);
        for (int one = first; one < reading; one++)
          if (!isDropped[one]) writer.raw(reader.bytes, starts[one], ends[one] - starts[one]);
      }
      writer.number(0);
    }
    return writer.take();
  }

  private static int varintBytes(int length) {
    int bytes = 1;
    for (long rest = (long) length << 1; rest >= 0x80; rest >>>= 7) bytes++;
    return bytes;
  }

  /**
   * Texts are compared by this: a number that a double holds, of 52 bits of FNV-1a, mixed. Two that
   * differ have the same one in one of 10^15 cases.
   */
  public static double textId(byte[] bytes, int from, int to) {
    long hash = 0xcbf29ce484222325L;
    for (int i = from; i < to; i++) hash = (hash ^ (bytes[i] & 0xff)) * 0x100000001b3L;
    hash = (hash ^ hash >>> 33) * 0xff51afd7ed558ccdL;
    hash = (hash ^ hash >>> 33) * 0xc4ceb9fe1a85ec53L;
    return (hash ^ hash >>> 33) >>> 12;
  }

  public static double textId(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return textId(bytes, 0, bytes.length);
  }

  private byte[] copy(int from, int to) {
    return Arrays.copyOfRange(reader.bytes, from, to);
  }
}
