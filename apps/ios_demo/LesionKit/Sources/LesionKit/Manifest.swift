import Foundation

/// What an app reads of a bundle's `manifest.json` (docs/bundle.md). Nothing of it is written in the app.
public struct Manifest: Decodable {
  public static let schema = "dermedge/manifest/3"
  static let maxBytes = 64 << 20  // as in edge/files.py
  private static let rule = Result { try SchemaRule(manifestSchema) }

  public struct Label: Decodable {
    public let code: String
    public let name: String  // the code where a manifest has no name
    public let malignant: Bool?

    private enum Keys: String, CodingKey {
      case code, name, malignant
    }

    public init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      code = try values.decode(String.self, forKey: .code)
      let name = try values.decode(String.self, forKey: .name)
      self.name = name.isEmpty ? code : name
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
    let abstain_threshold: Double?
  }

  struct Reference: Decodable {
    let kind: String
    let file: String?
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
  let reference: Reference
  public let mask: Mask?
  public let questions: [Question]
  public let log_odds: [[Double]]?
  public let files: [File]
  public let self_test: [SelfTest]
  public let decision: Decision?
  public let intended_use: String

  public var codes: [String] { labels.map { $0.code } }

  /// Reads and checks a manifest. Throws `Refused` with a sentence for the person who holds the phone.
  public static func read(_ data: Data) throws -> Manifest {
    guard data.count <= maxBytes else { throw Refused("the model's manifest is too large; bundle it again") }
    let value = try Json.read(data)
    guard let stated = value["schema"]?.string, stated == schema else {
      let found = value["schema"]?.string ?? "none"
      throw Refused("this app reads \(schema), the model's manifest is \(found.prefix(60)); bundle it again")
    }
    if let place = try rule.get().misfit(value) { throw misspelt(place) }
    let texts = (value["questions"]?.entries ?? []).flatMap { [$0] + ($0["choices"]?.entries ?? []) }
    for text in texts.compactMap({ $0["text"] }) {
      guard case .object(let words) = text, words.first?.key == "en" else {
        throw Refused("the questions of the manifest are not in English first; bundle it again")
      }
    }
    do {
      let marked = data.starts(with: Json.mark)
      let manifest = try JSONDecoder().decode(Manifest.self, from: marked ? data.dropFirst(Json.mark.count) : data)
      try manifest.check()
      return manifest
    } catch let error as DecodingError {
      throw misspelt(place(of: error))
    }
  }

  private static func misspelt(_ place: String) -> Refused {
    Refused("the model's manifest lacks or misspells a part (\(place.prefix(200))); bundle it again")
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

  /// Throws `Refused` for what fits the schema and contradicts itself, as edge/manifest.py does.
  private func check() throws {
    guard preprocess.version == Preprocess.version else {
      throw Refused(
        "this app prepares pictures by \(Preprocess.version), the model wants \(preprocess.version)")
    }
    guard Set(codes).count == labels.count, labels.allSatisfy({ Manifest.isPrinted($0.name) }) else {
      throw Refused("two classes of the model's manifest are called alike, or one has no plain name; bundle it again")
    }
    guard Set(files.map { $0.file }).count == files.count else {
      throw Refused("the model's manifest describes a file twice; bundle it again")
    }
    guard (reference.kind == "program") == (reference.file != nil) else {
      throw Refused("the reference of the model's manifest is in no file, or needs none; bundle it again")
    }
    if let mask, mask.side != input.side {
      throw Refused("the model's mask has \(mask.side) pixels a side, its input \(input.side); bundle it again")
    }
    let places = try Question.places(of: questions)
    if let log_odds {
      guard log_odds.count == labels.count, log_odds.allSatisfy({ $0.count == places }) else {
        throw Refused("the manifest's log-odds are not those of its classes and questions; bundle it again")
      }
    }
    if let file = files.first(where: { $0.answers && places == 0 }) {
      throw Refused("\(file.file) takes answers, and the manifest has no questions; bundle it again")
    }
    for test in self_test {
      for numbers in [test.reference] + Array(test.expected.values) where numbers.count != labels.count {
        throw Refused("\(test.image) has other classes than the manifest; bundle it again")
      }
      if let answers = test.answers, answers.count != places {
        throw Refused("\(test.image) has other answers than the manifest has questions; bundle it again")
      }
    }
    guard let decision else { return }
    guard decision.thresholds.abstain_threshold == output.abstain_threshold else {
      throw Refused("the model's manifest has two abstain thresholds; bundle it again")
    }
    try decision.check(side: input.side, questions: questions.count)
  }

  /// Whether a name is of printed characters, without brackets.
  private static func isPrinted(_ name: String) -> Bool {
    name.unicodeScalars.allSatisfy { scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
      case .spaceSeparator: return scalar == " "
      default: return scalar != "[" && scalar != "]"
      }
    }
  }
}
