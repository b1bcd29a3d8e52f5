package weir.flink.stream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import weir.flink.plan.Plan;

/**
 * A job without Flink, for {@code test/conformance/engines}: a partition's entries through the same
 * classes, key by key, with state as bytes between any two calls, timers, instances and crashes. A
 * line of JSON in, a line out.
 */
public final class StreamRun {
  private static final int INSTANCES = 2;
  private static final byte[] NOTHING = {};

  private final Plan plan;
  private final ObjectNode given;
  private Sequencer sequencer;
  private Instance[] instances;
  private boolean isAnnounced;
  private long nowMs = Long.MIN_VALUE;
  private State state = new State();

  /** What a checkpoint has. */
  private static final class State {
    byte[] hot = NOTHING;
    byte[] cold = NOTHING;
    Map<String, byte[]> devices = new HashMap<>();
    Map<String, Long> timers = new TreeMap<>();
    byte[][] marks = {NOTHING, NOTHING};
    byte[] coverage = NOTHING;

    State copy() {
      State copy = new State();
      copy.hot = hot;
      copy.cold = cold;
      copy.devices.putAll(devices);
      copy.timers.putAll(timers);
      copy.marks = marks.clone();
      copy.coverage = coverage;
      return copy;
    }
  }

  private StreamRun(Plan plan, ObjectNode given) {
    this.plan = plan;
    this.given = given;
    for (String topic : new String[] {"readings", "windows", "events", "deadLetters"})
      given.putArray(topic);
    start();
  }

  public static void main(String[] none) throws IOException {
    ObjectMapper json = new ObjectMapper();
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      ObjectNode given = json.createObjectNode();
      try {
        JsonNode script = json.readTree(line);
        new StreamRun(Plan.parse(script.get("plan").asText()), given).run(script);
      } catch (RuntimeException error) {
        given.put("error", error + " at " + java.util.Arrays.toString(error.getStackTrace()));
      }
      System.out.println(json.writeValueAsString(given));
    }
  }

  /** Lives are entries in a row; each goes on from what the one before had saved, or begins anew. */
  private void run(JsonNode script) {
    JsonNode entries = script.get("entries");
    Map<Integer, State> saved = new HashMap<>();
    saved.put(0, state.copy());
    int at = 0;
    for (JsonNode life : script.get("lives")) {
      for (; at < life.get("end").asInt(); at++) {
        process(entries.get(at), at);
        if (life.get("save").asInt() == at + 1) saved.put(at + 1, state.copy());
      }
      at = life.get("save").asInt();
      state = saved.get(at).copy();
      start();
    }
    for (; at < entries.size(); at++) process(entries.get(at), at);
    // Who waits for others looks once more.
    for (int seconds = 0; seconds < 60 && nowMs != Long.MIN_VALUE; seconds++)
      advance(nowMs + 1000);
  }

  private void start() {
    sequencer = new Sequencer(plan, 0);
    sequencer.restore(state.hot, state.cold);
    instances = new Instance[INSTANCES];
    for (int i = 0; i < INSTANCES; i++) instances[i] = new Instance(plan);
    isAnnounced = false;
    nowMs = Long.MIN_VALUE;
  }

  private void process(JsonNode entry, int offset) {
    byte[] key = entry.hasNonNull("key") ? bytesOf(entry.get("key")) : null;
    long timestampMs = entry.get("timestampMs").asLong();
    nowMs = Math.max(nowMs, entry.get("readMs").asLong());
    if (!isAnnounced) sequencer.announce(new Rows());
    isAnnounced = true;
    sequencer.process(key, bytesOf(entry.get("value")), offset, timestampMs, new Rows());
    state.hot = sequencer.hot();
    byte[] cold = sequencer.cold();
    if (cold != null) state.cold = cold;
    advance(nowMs);
  }

  /** Flink's time never goes back. */
  private void advance(long toMs) {
    nowMs = toMs;
    // A timer may ask for another one that is due as well.
    for (int rounds = 0; rounds < 3; rounds++)
      for (Map.Entry<String, Long> timer : Map.copyOf(state.timers).entrySet()) {
        if (timer.getValue() > nowMs) continue;
        state.timers.remove(timer.getKey());
        byte[] key = timer.getKey().getBytes(StandardCharsets.UTF_8);
        DeviceStream device = new DeviceStream(instances[instanceOf(key)]);
        device.restore(key, state.devices.get(timer.getKey()));
        device.onTimer(nowMs, new Topics());
        save(timer.getKey(), device);
      }
    for (int i = 0; i < INSTANCES; i++) {
      Marks marks = new Marks(instances[i]);
      marks.restore(i, INSTANCES, state.marks[i]);
      if (marks.timerMs() <= nowMs) marks.onTimer(nowMs, this::mark);
      state.marks[i] = marks.state();
    }
  }

  private void save(String key, DeviceStream device) {
    long timerMs = device.timerMs(nowMs);
    if (timerMs != Long.MAX_VALUE) state.timers.merge(key, timerMs, Math::min);
    state.devices.put(key, device.state());
  }

  private static int instanceOf(byte[] key) {
    return (java.util.Arrays.hashCode(key) & 0x7fff_ffff) % INSTANCES;
  }

  private void mark(int partition, byte[] data) {
    Coverage coverage = new Coverage();
    coverage.restore(state.coverage);
    coverage.mark(partition, 1, data, (key, value) -> put("windows", key, value));
    state.coverage = coverage.state();
  }

  /** Rows from the first function to the second. */
  private final class Rows implements Sequencer.Output {
    @Override
    public void toDevice(byte[] key, byte[] data) {
      String name = new String(key, StandardCharsets.UTF_8);
      DeviceStream device = new DeviceStream(instances[instanceOf(key)]);
      device.restore(key, state.devices.getOrDefault(name, NOTHING));
      device.process(data, new Topics());
      save(name, device);
    }

    @Override
    public void toAll(byte[] data) {
      for (int i = 0; i < INSTANCES; i++) {
        Marks marks = new Marks(instances[i]);
        marks.restore(i, INSTANCES, state.marks[i]);
        marks.told(data, nowMs);
        state.marks[i] = marks.state();
      }
    }

    @Override
    public void deadLetter(byte[] key, byte[] value) {
      put("deadLetters", key, value);
    }
  }

  private final class Topics implements DeviceStream.Output {
    @Override
    public void reading(int partition, byte[] key, byte[] value, long source) {
      put("readings", key, value).put("source", source);
    }

    @Override
    public void window(int partition, byte[] key, byte[] value) {
      put("windows", key, value);
    }

    @Override
    public void event(byte[] key, byte[] value) {
      put("events", key, value);
    }
  }

  private ObjectNode put(String topic, byte[] key, byte[] value) {
    Base64.Encoder base64 = Base64.getEncoder();
    return ((ArrayNode) given.get(topic))
        .addObject()
        .put("key", base64.encodeToString(key))
        .put("value", base64.encodeToString(value));
  }

  private static byte[] bytesOf(JsonNode base64) {
    return Base64.getDecoder().decode(base64.asText());
  }
}
