package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Base64;
import java.util.Deque;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import weir.flink.entries.DeviceKey;
import weir.flink.entries.Dimensions;
import weir.flink.entries.MalformedEntry;
import weir.flink.entries.Message;
import weir.flink.operators.Watermark;
import weir.flink.plan.Plan;
import weir.flink.rules.Facts;
import weir.flink.rules.LiveRule;
import weir.flink.rules.RuleBook;
import weir.flink.state.StateWriter;

/**
 * The order of one partition: its clock, its watermark and its rules, which devices cannot know of
 * themselves. Each entry goes to its device with a stamp of these; what is of all devices is told to
 * every instance of the device function at its place. So what a device decides depends on the
 * partition's entries alone, wherever and however late it does so. The twin of {@code
 * test/conformance/engines/partition-stream.ts}.
 */
public final class Sequencer {
  private static final long NONE = Long.MIN_VALUE;
  /** Ticks of two gateways may cross by so much; a step back beyond it is a clock that was set. */
  private static final long CROSSING_US_MAX = 1_000_000;
  /** Between two ticks less passes, or the clock was set, or nothing ran: clock-steps.ts. */
  private static final long STEP_US_MAX = 600_000_000;
  /** What happened is kept so long for devices that come later, and so much of it. */
  private static final long KEPT_US = 3_600_000_000L;

  private static final int KEPT_MIN = 64;
  static final int KEPT_MAX = 4096;
  private static final int PAYLOAD_BYTES_MAX = 48 << 10;

  /** Where it goes. */
  public interface Output {
    /** @param key UTF-8, {@code tenant/device} */
    void toDevice(byte[] key, byte[] data);

    /** A row for every parallel instance of the device function. */
    void toAll(byte[] data);

    void deadLetter(byte[] key, byte[] value);
  }

  private final Plan plan;
  private final int partition;
  private final long smallestUs;
  private final Watermark watermark;
  private final Message message = new Message();
  private final Stamp stamp = new Stamp();
  private final StateWriter writer = new StateWriter();
  private RuleBook book;
  private final Deque<Told> kept = new ArrayDeque<>();
  private long clockUs = NONE;
  private long sequence;
  private long closedUpToUs = NONE;
  private boolean isColdChanged = true;

  public Sequencer(Plan plan, int partition) {
    this.plan = plan;
    this.partition = partition;
    smallestUs = plan.windowsUs()[0];
    watermark = new Watermark(plan.time().disorderUs(), plan.time().idleTimeoutUs());
    book = new RuleBook(plan.rules());
  }

  /**
   * Goes on from state: of each entry, and of what changes seldom. Empty: the partition is new.
   */
  public void restore(byte[] hot, byte[] cold) {
    if (hot.length == 0) return;
    ByteBuffer from = ByteBuffer.wrap(hot);
    clockUs = from.getLong();
    sequence = from.getLong();
    closedUpToUs = from.getLong();
    watermark.read(from);
    from = ByteBuffer.wrap(cold);
    boolean isOther = book.restore(StateWriter.textOf(from), sequence + 1);
    kept.clear();
    for (int left = from.getInt(); left > 0; left--) kept.add(Told.read(from));
    isColdChanged = isOther;
    if (isOther) sequence++;
  }

  /** Changes with each entry; some bytes. */
  public byte[] hot() {
    ByteBuffer to = ByteBuffer.allocate(3 * Long.BYTES + watermark.bytes());
    to.putLong(clockUs).putLong(sequence).putLong(closedUpToUs);
    watermark.write(to);
    return to.array();
  }

  /** Rules, and what happened of late; null when that is as it was at the last call. */
  public byte[] cold() {
    if (!isColdChanged) return null;
    isColdChanged = false;
    writer.reset();
    writer.put(book.save());
    writeKept();
    return writer.take();
  }

  private void writeKept() {
    writer.put(kept.size());
    for (Told one : kept) one.write(writer);
  }

  /** For instances that know nothing yet: after each start, before the first entry. */
  public void announce(Output out) {
    writer.reset();
    told(Told.BOOK, 0, 0, book.save(), List.of()).write(writer);
    writeKept();
    out.toAll(writer.take());
  }

  /** @param key Kafka's, or null */
  public void process(byte[] key, byte[] value, long offset, long timestampMs, Output out) {
    // Before the first tick ever.
    if (clockUs == NONE) clockUs = timestampMs * 1000;
    try {
      message.read(value, 0, value.length);
      if (message.isOfNobody()) toldBy(value, offset, out);
      else {
        long ingestUs = Stamp.ingestUs(message.ingestUs(), clockUs);
        if (!message.isHistorical() && watermark.observe(message.eventUs(), ingestUs))
          close(ingestUs, out);
        out.toDevice(message.key(), stamped(Stamp.MESSAGE, value, offset));
      }
    } catch (MalformedEntry error) {
      refuse(key, value, timestampMs, error.getMessage(), out);
    }
  }

  private byte[] stamped(byte kind, byte[] payload, long offset) {
    stamp.kind = kind;
    stamp.partition = partition;
    stamp.source = offset;
    stamp.clockUs = clockUs;
    stamp.watermarkUs = watermark.watermarkUs();
    stamp.sequence = sequence;
    return stamp.before(payload);
  }

  /** A tick, or what has the form of one. */
  private void toldBy(byte[] value, long offset, Output out) throws MalformedEntry {
    String rules = null;
    String facts = null;
    int count = 0;
    for (Dimensions.Pair pair : Dimensions.read(message.dimensions())) {
      if (pair.name().equals("weir.rules")) rules = pair.value();
      else if (pair.name().equals("weir.device")) facts = pair.value();
      else continue;
      count++;
    }
    if (count > 1) throw new MalformedEntry("it tells two things at once");
    if (count == 0) tick(message.eventUs(), out);
    else
      try {
        if (rules != null) change(rules, out);
        else learn(facts, offset, out);
      } catch (IllegalArgumentException error) {
        throw new MalformedEntry(error.getMessage());
      }
  }

  private void tick(long tickUs, Output out) {
    boolean isCrossing = tickUs < clockUs && tickUs >= clockUs - CROSSING_US_MAX;
    if (isCrossing) return;
    long beforeUs = clockUs;
    long passedUs = tickUs - clockUs;
    clockUs = tickUs;
    if (passedUs > STEP_US_MAX || passedUs < -CROSSING_US_MAX) {
      watermark.shift(passedUs, tickUs);
      happened(told(Told.SHIFT, passedUs, tickUs, "", List.of(), beforeUs), out);
      passedUs = 0;
    }
    // What fell due before now happens before what windows say now.
    if (watermark.tick(tickUs, Math.max(0, passedUs))) close(tickUs, out);
    writer.reset();
    told(Told.TICK, 0, 0, "", List.of()).write(writer);
    out.toAll(writer.take());
  }

  /** The watermark moved: some windows may be closed by it. */
  private void close(long ingestUs, Output out) {
    long upToUs = Math.floorDiv(watermark.watermarkUs() + 1000, smallestUs) * smallestUs;
    if (upToUs <= closedUpToUs) return;
    closedUpToUs = upToUs;
    happened(told(Told.CLOSE, upToUs, ingestUs, "", List.of()), out);
  }

  private void change(String changes, Output out) {
    List<LiveRule> removed = book.apply(Plan.tree(changes), sequence + 1);
    happened(told(Told.RULES, 0, 0, changes, removed), out);
  }

  private void learn(String json, long offset, Output out) {
    Facts facts = Facts.parse(json);
    byte[] payload = json.getBytes(StandardCharsets.UTF_8);
    byte[] key = DeviceKey.of(facts.tenant(), facts.deviceId());
    out.toDevice(key, stamped(Stamp.FACTS, payload, offset));
  }

  private void happened(Told one, Output out) {
    Told numbered =
        new Told(
            one.kind(), partition, ++sequence, one.clockUs(), one.watermarkUs(),
            one.firstUs(), one.secondUs(), one.text(), one.removed());
    writer.reset();
    numbered.write(writer);
    out.toAll(writer.take());
    kept.add(numbered.withoutText());
    while (kept.size() > KEPT_MAX
        || (kept.size() > KEPT_MIN && kept.peek().clockUs() < clockUs - KEPT_US)) kept.remove();
    isColdChanged = true;
  }

  private Told told(byte kind, long firstUs, long secondUs, String text, List<LiveRule> removed) {
    return told(kind, firstUs, secondUs, text, removed, clockUs);
  }

  private Told told(
      byte kind, long firstUs, long secondUs, String text, List<LiveRule> removed, long dueUs) {
    long watermarkUs = watermark.watermarkUs();
    return new Told(
        kind, partition, sequence, dueUs, watermarkUs, firstUs, secondUs, text, removed);
  }

  /** Its key says whose it was, if it has the form that ours have. */
  private static void refuse(
      byte[] key, byte[] value, long timestampMs, String detail, Output out) {
    String[] names = new String(key == null ? new byte[0] : key, StandardCharsets.UTF_8).split("/");
    String tenant = names[0];
    String deviceId = names.length > 1 ? names[1] : "";
    byte[] payload = Arrays.copyOf(value, Math.min(value.length, PAYLOAD_BYTES_MAX));
    ObjectNode letter = JsonNodeFactory.instance.objectNode();
    letter.put("tenant", tenant);
    letter.put("deviceId", deviceId);
    letter.put("receivedAtUs", timestampMs * 1000);
    letter.put("code", "ENTRY_MALFORMED");
    letter.put("detail", detail);
    letter.put("payload", Base64.getEncoder().encodeToString(payload));
    byte[] json = letter.toString().getBytes(StandardCharsets.UTF_8);
    out.deadLetter(DeviceKey.of(tenant, deviceId), json);
  }
}
