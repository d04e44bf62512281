/// docs/preprocess.md, section 2: upright pixels become the square that the model sees.
public enum Preprocess {
  public static let version = "area-2"
  public static let maxSide = 4096  // pixels along a side of the model's input

  private struct Span {
    let first: Int
    let overlaps: [Int]
  }

  /// For each of `side` pixels: the first of the `length` sources that it covers, and the length of each overlap.
  private static func spans(_ length: Int, _ side: Int) -> [Span] {
    (0..<side).map { i in
      let first = i * length / side
      let last = ((i + 1) * length - 1) / side
      return Span(
        first: first,
        overlaps: (first...last).map { j in
          min((i + 1) * length, (j + 1) * side) - max(i * length, j * side)
        })
    }
  }

  /// The model's input: side x side x 3 bytes, RGB, rows from the top. Throws `Refused` for a side that is none.
  public static func modelInput(_ picture: Picture, side: Int) throws -> [UInt8] {
    try whole(side, 1, maxSide, "the side of the model's input")
    let shorter = min(picture.width, picture.height)
    let top = (picture.height - shorter) / 2
    let left = (picture.width - shorter) / 2
    let covered = spans(shorter, side)
    let area = shorter * shorter
    let channels = picture.channels
    var result = [UInt8](repeating: 0, count: side * side * 3)
    var sums = [Int](repeating: 0, count: shorter * 3)  // below 2^63: at most 255 x 20000
    picture.data.withUnsafeBufferPointer { source in
      sums.withUnsafeMutableBufferPointer { sums in
        for i in 0..<side {
          sums.update(repeating: 0)
          for (r, overlap) in covered[i].overlaps.enumerated() {
            var from = ((top + covered[i].first + r) * picture.width + left) * channels
            var q = 0
            while q < sums.count {
              sums[q] += overlap * Int(source[from])
              sums[q + 1] += overlap * Int(source[from + 1])
              sums[q + 2] += overlap * Int(source[from + 2])
              q += 3
              from += channels
            }
          }
          for k in 0..<side {
            let span = covered[k]
            for c in 0..<3 {
              var total = 0
              for (q, overlap) in span.overlaps.enumerated() {
                total += overlap * sums[(span.first + q) * 3 + c]
              }
              result[(i * side + k) * 3 + c] = UInt8((2 * total + area) / (2 * area))
            }
          }
        }
      }
    }
    return result
  }
}
