package weir.flink.operators;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.DynamicTest;

/** The vectors that the TypeScript operators are held to as well. */
final class Vectors {
  private static final Path FOLDER = Path.of("..", "..", "test", "conformance", "operators");

  private Vectors() {}

  /** A test for each case of a file. */
  static Stream<DynamicTest> tests(String file, Consumer<JsonNode> test) {
    try {
      JsonNode cases = new ObjectMapper().readTree(FOLDER.resolve(file).toFile()).get("cases");
      Assertions.assertFalse(cases.isEmpty(), file);
      return StreamSupport.stream(cases.spliterator(), false)
          .map(one -> DynamicTest.dynamicTest(one.get("name").asText(), () -> test.accept(one)));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** To 1e-9 of the expected value, or of a scale where that is larger. */
  static void assertClose(double expected, double actual, double scale, String what) {
    double bound = 1e-9 * Math.max(Math.abs(expected), scale);
    Assertions.assertTrue(
        Math.abs(actual - expected) <= bound, what + ": " + actual + " is not " + expected);
  }
}
