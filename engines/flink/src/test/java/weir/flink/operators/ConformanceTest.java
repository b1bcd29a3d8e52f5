package weir.flink.operators;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Each operator against the vectors of the naive oracle, and against itself out of its bytes: as in
 * Flink, where the state of a key is read before a message and written after it.
 */
final class ConformanceTest {
  @TestFactory
  Stream<DynamicTest> deduplication() {
    return Vectors.tests(
        "deduplication.json",
        one -> {
          Deduplication kept = new Deduplication();
          Deduplication reread = new Deduplication();
          ByteBuffer bytes = written(reread.bytes(), reread::write);
          int step = 0;
          for (JsonNode pair : one.get("steps")) {
            long time = pair.get(0).asLong();
            int fate = pair.get(1).asInt();
            assertEquals(fate, kept.observe(time), "step " + step);
            reread.clear();
            reread.read(bytes);
            assertEquals(fate, reread.observe(time), "from its bytes, step " + step++);
            bytes = written(reread.bytes(), reread::write);
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> zscore() {
    return Vectors.tests(
        "zscore.json",
        one -> {
          int n = one.get("n").asInt();
          ZScore kept = new ZScore(n, one.get("threshold").asDouble());
          ZScore reread = new ZScore(n, one.get("threshold").asDouble());
          ByteBuffer bytes = written(reread.bytes(), reread::write);
          int step = 0;
          for (JsonNode pair : one.get("steps")) {
            double score = kept.observe(pair.get(0).asDouble());
            if (pair.get(1).isNull()) assertTrue(Double.isNaN(score), step + ": " + score);
            else Vectors.assertClose(pair.get(1).asDouble(), score, 0, "step " + step);
            reread.clear();
            reread.read(bytes);
            assertEquals(score, reread.observe(pair.get(0).asDouble()), "step " + step++);
            bytes = written(reread.bytes(), reread::write);
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> watermark() {
    return Vectors.tests(
        "watermark.json",
        one -> {
          long[] time = {one.get("disorderUs").asLong(), one.get("idleTimeoutUs").asLong()};
          Watermark watermark = new Watermark(time[0], time[1]);
          int step = 0;
          for (JsonNode call : one.get("steps")) {
            long a = call.get(1).asLong();
            long b = call.get(2).asLong();
            boolean isTick = call.get(0).asText().equals("tick");
            boolean hasMoved = isTick ? watermark.tick(a, b) : watermark.observe(a, b);
            assertEquals(call.get(3).asBoolean(), hasMoved, "step " + step);
            long us = call.get(4).isNull() ? Watermark.NONE : call.get(4).asLong();
            assertEquals(us, watermark.watermarkUs(), "step " + step++);
            ByteBuffer bytes = written(watermark.bytes(), watermark::write);
            watermark = new Watermark(time[0], time[1]);
            watermark.read(bytes);
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> windows() {
    return Vectors.tests(
        "windows.json",
        one -> {
          WindowsRun run = new WindowsRun(one);
          int step = 0;
          for (JsonNode expected : one.get("steps")) run.step(expected, "step " + step++);
        });
  }

  @TestFactory
  Stream<DynamicTest> program() {
    return Vectors.tests(
        "program.json",
        one -> {
          List<Program.Instruction> instructions = new ArrayList<>();
          for (JsonNode instruction : one.get("instructions"))
            instructions.add(
                new Program.Instruction(
                    Program.Operation.named(instruction.get(0).asText()),
                    instruction.size() > 1 ? instruction.get(1).asDouble() : 0));
          Program program = new Program(instructions);
          double[] stack = new double[one.get("stackDepthMax").asInt()];
          for (JsonNode pair : one.get("steps")) {
            double[] values = new double[pair.get(0).size()];
            for (int i = 0; i < values.length; i++) values[i] = pair.get(0).get(i).asDouble();
            double expected = Double.parseDouble(pair.get(1).asText());
            double actual =
                program.evaluate(values, stack, index -> one.get("textIds").get(index).asInt());
            // 0 and -0 are the same number, and JSON has but one of them.
            assertEquals(expected, actual == 0 ? 0 : actual, pair.get(0).toString());
            assertEquals(expected != 0, program.run(values, stack, i -> one.get("textIds").get(i).asInt()));
          }
        });
  }

  /** What {@code write} puts into exactly as many bytes as it said. */
  static ByteBuffer written(int length, Consumer<ByteBuffer> write) {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    write.accept(bytes);
    assertEquals(0, bytes.remaining(), "it said how many bytes it takes");
    return bytes.flip();
  }
}
