package weir.flink.rules;

import java.util.regex.Pattern;

/** What a text says as a number, in JavaScript's way; NaN where it says none that is finite. */
final class Numbers {
  private static final Pattern DECIMAL =
      Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");
  private static final Pattern OTHER = Pattern.compile("0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)");

  private Numbers() {}

  static double of(String said) {
    String text = said.strip();
    if (OTHER.matcher(text).matches()) {
      int radix = switch (Character.toLowerCase(text.charAt(1))) {
        case 'x' -> 16;
        case 'o' -> 8;
        default -> 2;
      };
      return new java.math.BigInteger(text.substring(2), radix).doubleValue();
    }
    if (!DECIMAL.matcher(text).matches()) return Double.NaN;
    double value = Double.parseDouble(text);
    return Double.isFinite(value) ? value : Double.NaN;
  }
}
