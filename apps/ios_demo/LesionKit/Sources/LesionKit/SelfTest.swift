import Foundation

/// What runs the model: Core ML in the app.
public protocol Predictor {
  /// What the model says of a square of side x side x 3 bytes and a vector of answers, empty where it takes none.
  func run(_ square: [UInt8], answers: [Float]) throws -> Prediction
}

public struct Prediction {
  public let probabilities: [Double]  // in the order of the manifest's labels
  public let mask: [Float]?  // side x side, 0 to 1, where the model gives one

  public init(probabilities: [Double], mask: [Float]? = nil) {
    (self.probabilities, self.mask) = (probabilities, mask)
  }
}

/// The self-test that the manifest brings along, run on this device.
public struct SelfTestResult {
  public struct Row {
    public let image: String
    public let pixels: String  // their SHA-256
    public let answers: [Double]?
    public let expected: [Double]
    public let obtained: [Double]
    public let wrong: Bool

    public var difference: Double { zip(expected, obtained).map { abs($0 - $1) }.max() ?? 0 }
  }

  static let repeats = 10  // timed runs of each image
  static let lead = 0.2  // between the float model's first two probabilities: it is not in doubt

  public let rows: [Row]
  public let first: Double  // milliseconds, as all times
  public let times: [Double]  // of the others, ascending
  public let seenRight: Bool  // by the maker, in this version of the system

  public var failed: [String] { rows.filter { $0.wrong }.map { $0.image } }
  public var difference: Double { rows.map { $0.difference }.max() ?? 0 }
  public var median: Double { at(0.5) }
  public var p90: Double { at(0.9) }

  private func at(_ share: Double) -> Double {
    times[min(times.count - 1, Int(Double(times.count) * share))]
  }

  /// Runs each image. `pixels` decodes the bytes of a PNG to the RGB of its square; `system`: such as 17.4.1.
  /// Throws `Refused` where an image or its pixels are not those of the manifest, or where there is none.
  public static func run(
    _ bundle: ModelBundle, _ predictor: Predictor, system: String, pixels: (Data) throws -> [UInt8]
  ) throws -> SelfTestResult {
    var rows = [Row]()
    var times = [Double]()
    for test in bundle.tests {
      let square = try pixels(bundle.image(test))
      let hash = Sha256.hex(square)
      guard hash == test.rgb_sha256 else {
        throw Refused("\(test.image): this device reads other pixels than the model's maker")
      }
      var obtained = [Double]()
      for _ in 0...repeats {
        let begun = DispatchTime.now().uptimeNanoseconds
        obtained = try predictor.run(square, answers: (test.answers ?? []).map(Float.init)).probabilities
        times.append(Double(DispatchTime.now().uptimeNanoseconds - begun) / 1e6)
      }
      let expected = test.expected[bundle.file.file] ?? []
      guard obtained.count == expected.count else {
        throw Refused("the model gives \(obtained.count) probabilities, the manifest has \(expected.count) classes")
      }
      rows.append(
        Row(
          image: test.image, pixels: hash, answers: test.answers, expected: expected, obtained: obtained,
          wrong: isWrong(obtained, test.reference)))
    }
    guard !rows.isEmpty else { throw Refused("the bundle has no self-test image for its file") }
    let first = times.removeFirst()
    let seen = bundle.file.seen_right.contains { $0.runtime == "device-coreml" && $0.version == system }
    return SelfTestResult(rows: rows, first: first, times: times.sorted(), seenRight: seen)
  }

  /// Whether probabilities are none, or name another class than the float model's where that was sure.
  static func isWrong(_ obtained: [Double], _ reference: [Double]) -> Bool {
    guard obtained.allSatisfy({ $0.isFinite }) else { return true }
    let sorted = reference.sorted(by: >)
    return sorted[0] - sorted[1] > lead && highest(obtained) != highest(reference)
  }
}
