import Foundation

/// What an app reads of a bundle's `manifest.json` (docs/bundle.md). Nothing of it is written in the app.
public struct Manifest: Decodable {
  public static let schema = "dermedge/manifest/3"
  static let maxBytes = 16 << 20
  static let probabilities = 0...1.0001  // half precision rounds up

  public struct Label: Decodable {
    public let code: String
    public let name: String
    public let malignant: Bool?

    private enum Keys: String, CodingKey {
      case code, name, malignant
    }

    public init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      code = try values.decode(String.self, forKey: .code)
      name = try values.decode(String.self, forKey: .name)
      malignant = try values.decode(Bool?.self, forKey: .malignant)  // null: unknown
    }
  }

  public struct Input: Decodable {
    public let side: Int
  }

  public struct Version: Decodable {
    public let version: String
  }

  struct Output: Decodable {
    init(from decoder: Decoder) throws {
      try decoder.onlyKeys(["name", "meaning", "temperature", "abstain_threshold"])
    }
  }

  public struct Mask: Decodable {
    public let side: Int
    public let threshold: Double
  }

  public struct Run: Decodable {
    public let runtime: String
    public let version: String
  }

  enum Kind: String, Decodable {
    case float32, uint8
  }

  /// The input or the output of a file.
  struct Tensor: Decodable {
    let dtype: Kind
    let scale: Double?
    let zero_point: Int?

    private enum Keys: String, CodingKey {
      case dtype, scale, zero_point
    }

    init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      dtype = try values.decode(Kind.self, forKey: .dtype)
      scale = try values.stated(Double.self, .scale)
      zero_point = try values.stated(Int.self, .zero_point)
    }
  }

  public struct File: Decodable {
    public let file: String
    public let format: String
    public let sha256: String
    let input: Tensor
    let output: Tensor
    public let answers: Bool
    public let opens_from: String
    public let seen_right: [Run]
  }

  public struct SelfTest: Decodable {
    public let image: String
    public let sha256: String
    public let rgb_sha256: String
    public let reference: [Double]
    public let expected: [String: [Double]]
    public let answers: [Double]?

    private enum Keys: String, CodingKey {
      case image, sha256, rgb_sha256, reference, expected, answers
    }

    public init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      image = try values.decode(String.self, forKey: .image)
      sha256 = try values.decode(String.self, forKey: .sha256)
      rgb_sha256 = try values.decode(String.self, forKey: .rgb_sha256)
      reference = try values.decode([Double].self, forKey: .reference)
      expected = try values.decode([String: [Double]].self, forKey: .expected)
      answers = try values.stated([Double].self, .answers)
    }
  }

  public let model: String
  public let labels: [Label]
  public let input: Input
  public let preprocess: Version
  let output: Output
  public let mask: Mask?
  public let questions: [Question]
  public let log_odds: [[Double]]?
  public let files: [File]
  public let self_test: [SelfTest]
  public let decision: Decision?
  public let intended_use: String

  public var codes: [String] { labels.map { $0.code } }

  private struct Head: Decodable {
    let schema: String
  }

  /// The parts that may be left out, but not be null; those of `decision` are all known.
  private struct Absent: Decodable {
    private enum Keys: String, CodingKey, CaseIterable {
      case mask, log_odds, decision
    }

    init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      for key in Keys.allCases where try values.contains(key) && values.decodeNil(forKey: key) {
        throw Refused("\(key.rawValue) of the model's manifest is null; bundle it again")
      }
      if values.contains(.decision) { try values.superDecoder(forKey: .decision).onlyKeys(Decision.known) }
    }
  }

  /// Reads and checks a manifest. Throws `Refused` with a sentence for the person who holds the phone.
  public static func read(_ data: Data) throws -> Manifest {
    guard data.count <= maxBytes else { throw Refused("the model's manifest is too large; bundle it again") }
    let decoder = JSONDecoder()
    guard let head = try? decoder.decode(Head.self, from: data) else {
      throw Refused("the model's manifest cannot be read; run dermedge bundle again")
    }
    guard head.schema == schema else {
      throw Refused("this app reads \(schema), the model's manifest is \(head.schema); bundle it again")
    }
    do {
      _ = try decoder.decode(Absent.self, from: data)
      let manifest = try decoder.decode(Manifest.self, from: data)
      try manifest.check()
      return manifest
    } catch let error as DecodingError {
      throw Refused("the model's manifest lacks or misspells a part (\(place(of: error))); bundle it again")
    }
  }

  private static func place(of error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context): return path(context.codingPath + [key])
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      return path(context.codingPath)
    @unknown default: return "unknown"
    }
  }

  private static func path(_ keys: [CodingKey]) -> String {
    keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: "/")
  }

  private func check() throws {
    guard preprocess.version == Preprocess.version else {
      throw Refused(
        "this app prepares pictures by \(Preprocess.version), the model wants \(preprocess.version)")
    }
    try whole(input.side, 16, 1024, "the side of the model's input")
    guard labels.count >= 2, Set(codes).count == labels.count, codes.allSatisfy(Manifest.isCode) else {
      throw Refused("the model's manifest has no two classes; bundle it again")
    }
    let places = try Question.places(of: questions)
    if let log_odds {
      guard log_odds.count == labels.count, log_odds.allSatisfy({ $0.count == places }) else {
        throw Refused("the manifest's log-odds are not those of its classes and questions; bundle it again")
      }
    }
    for name in files.map({ $0.file }) + self_test.map({ $0.image }) where !Manifest.isName(name) {
      throw Refused("the manifest names a file \(name.prefix(60)), which is no plain name; bundle it again")
    }
    if let file = files.first(where: { $0.answers && places == 0 }) {
      throw Refused("\(file.file) takes answers, and the manifest has no questions; bundle it again")
    }
    if let mask, !(mask.threshold > 0 && mask.threshold < 1) {
      throw Refused("the threshold of the mask is a number between 0 and 1; bundle it again")
    }
    let hashes = files.map { $0.sha256 } + self_test.flatMap { [$0.sha256, $0.rgb_sha256] }
    for hash in hashes where !Manifest.isHash(hash) {
      throw Refused("the manifest has \(hash.prefix(64)) for a SHA-256, which is none; bundle it again")
    }
    for file in files {
      guard file.output.scale ?? 1 > 0, (0...255).contains(file.output.zero_point ?? 0) else {
        throw Refused("the manifest has no scale for the output of \(file.file); bundle it again")
      }
    }
    for test in self_test {
      for numbers in [test.reference] + Array(test.expected.values) where numbers.count != labels.count {
        throw Refused("\(test.image) has other classes than the manifest; bundle it again")
      }
      guard ([test.reference] + Array(test.expected.values)).joined().allSatisfy(Manifest.probabilities.contains) else {
        throw Refused("\(test.image) has numbers that are no probabilities; bundle it again")
      }
      if let answers = test.answers, answers.count != places {
        throw Refused("\(test.image) has other answers than the manifest has questions; bundle it again")
      }
    }
    try decision?.check(side: input.side, questions: questions.count)
  }

  /// Whether this is the code of a class: 1 to 64 letters, digits, `_` and `-`, of any language.
  static func isCode(_ code: String) -> Bool {
    let allowed = code.unicodeScalars.allSatisfy { scalar in
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
        .letterNumber, .otherNumber:
        return true
      default: return scalar == "_" || scalar == "-"
      }
    }
    return allowed && (1...64).contains(code.unicodeScalars.count)
  }

  static func isHash(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
  }

  /// Whether this is the name of a file in the bundle's own folder: letters, digits, `_`, `-` and `.`, no dot in front.
  static func isName(_ name: String) -> Bool {
    let allowed = name.unicodeScalars.allSatisfy {
      $0.isASCII && (CharacterSet.alphanumerics.contains($0) || "_-.".unicodeScalars.contains($0))
    }
    return allowed && !name.isEmpty && name.count <= 128 && !name.hasPrefix(".") && !name.hasPrefix("-")
  }
}
