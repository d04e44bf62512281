import Foundation

/// A manifest's thresholds: of nothing answered, and of what holds in their place with answers.
public struct Thresholds: Decodable {
  public struct Entry: Decodable {
    /// Of the questions.
    public enum Answered: String, Decodable {
      case some, all
    }

    public let answered: Answered
    public let from: Int
    public let abstain_threshold: Double
    public let malignant_threshold: Double?
    public let temperature: Double?

    private enum Keys: String, CodingKey {
      case answered, from, abstain_threshold, malignant_threshold, temperature
    }

    public init(from decoder: Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      answered = try values.decode(Answered.self, forKey: .answered)
      from = try values.decode(Int.self, forKey: .from)
      abstain_threshold = try values.decode(Double.self, forKey: .abstain_threshold)
      malignant_threshold = try values.stated(Double.self, .malignant_threshold)
      temperature = try values.stated(Double.self, .temperature)
    }
  }

  static let temperatures = 0.2...5.0

  public var abstain_threshold: Double
  public var malignant_threshold: Double?
  public private(set) var temperature: Double?  // of an entry in force; without answers, probabilities are as they are
  public let by_answers: [Entry]?

  private enum Keys: String, CodingKey {
    case abstain_threshold, malignant_threshold, by_answers
  }

  public init(from decoder: Decoder) throws {
    let values = try decoder.container(keyedBy: Keys.self)
    abstain_threshold = try values.decode(Double.self, forKey: .abstain_threshold)
    malignant_threshold = try values.stated(Double.self, .malignant_threshold)
    by_answers = try values.stated([Entry].self, .by_answers)
  }

  /// Throws `Refused` for thresholds out of their ranges, or that do not ascend up to so many questions.
  func check(questions: Int) throws {
    try Thresholds.check(abstain_threshold, malignant_threshold, temperature)
    guard let entries = by_answers else { return }
    guard !entries.isEmpty, Set(entries.map { $0.answered }).count == entries.count else {
      throw Refused("by_answers of the thresholds is empty, or has two entries for one case")
    }
    var last = 0
    for entry in entries {
      guard entry.from > last else { throw Refused("by_answers of the thresholds does not ascend from 1") }
      last = try whole(entry.from, 1, questions, "from of by_answers")
      try Thresholds.check(entry.abstain_threshold, entry.malignant_threshold, entry.temperature)
      guard (entry.malignant_threshold == nil) == (malignant_threshold == nil) else {
        throw Refused("by_answers and the whole do not all have a malignant_threshold, or all none")
      }
    }
  }

  private static func check(_ abstain: Double, _ malignant: Double?, _ temperature: Double?) throws {
    guard (0...1).contains(abstain) else { throw Refused("abstain_threshold is a number from 0 to 1") }
    guard (0...1).contains(malignant ?? 0) else { throw Refused("malignant_threshold is a number from 0 to 1") }
    guard temperatures.contains(temperature ?? 1) else {
      throw Refused("a temperature is a number from \(temperatures.lowerBound) to \(temperatures.upperBound)")
    }
  }

  /// The thresholds for that many answers.
  public func inForce(answered: Int) -> Thresholds {
    guard let entry = (by_answers ?? []).last(where: { $0.from <= answered }) else { return self }
    var chosen = self
    chosen.abstain_threshold = entry.abstain_threshold
    chosen.malignant_threshold = entry.malignant_threshold ?? malignant_threshold
    chosen.temperature = entry.temperature ?? temperature
    return chosen
  }

  /// The probabilities that are shown, and that all thresholds are about.
  public func tempered(_ probabilities: [Double]) -> [Double] {
    guard let temperature, temperature != 1 else { return probabilities }
    let powers = probabilities.map { pow(max($0, 0), 1 / temperature) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  /// Whether the malignant classes together reach their threshold; nil without one. `malignant`: of each class, or nil.
  public func countsAsMalignant(_ probabilities: [Double], _ malignant: [Bool?]) -> Bool? {
    guard let limit = malignant_threshold else { return nil }
    return zip(probabilities, malignant).reduce(0) { $0 + ($1.1 == true ? $1.0 : 0) } >= limit
  }
}

/// docs/decision.md: class, uncertain, or another photograph.
public struct Decision: Decodable {
  public static let version = "gate-2"
  /// The checks in the order of their reasons; whether more, not less, than the limit is sent back; the largest limit.
  static let checks: [(name: String, more: Bool, most: Int)] = [
    ("light", false, 255), ("clipped", true, 1000), ("contrast", false, 255), ("fine", false, 9999),
    ("coarse", false, 9999), ("busy", true, 9999), ("warm", false, 1000), ("green", true, 1000),
    ("spot", false, 255),
  ]
  static let slack = 0.02  // fp16 arithmetic keeps three digits

  public let version: String
  public let side: Int
  public let quality: [String: Int]
  public var thresholds: Thresholds

  private enum Keys: String, CodingKey {
    case version, side, quality
  }

  public init(from decoder: Decoder) throws {
    let values = try decoder.container(keyedBy: Keys.self)
    version = try values.decode(String.self, forKey: .version)
    side = try values.decode(Int.self, forKey: .side)
    quality = try values.decode([String: Int].self, forKey: .quality)
    thresholds = try Thresholds(from: decoder)
  }

  /// The same with the thresholds for that many answers.
  public func inForce(answered: Int) -> Decision {
    var chosen = self
    chosen.thresholds = thresholds.inForce(answered: answered)
    return chosen
  }

  /// Throws `Refused` for what is an error in the app rather than an outcome.
  public func check(side: Int, probabilities: [Double], codes: [String]) throws {
    try check(side: side, questions: Int.max)  // they were counted when the manifest was read
    guard codes.count >= 2, Set(codes).count == codes.count else {
      throw Refused("there are two classes at least")
    }
    try Decision.checkProbabilities(probabilities, classes: codes.count)
  }

  /// Throws `Refused` unless a model's answer is so many probabilities.
  public static func checkProbabilities(_ probabilities: [Double], classes: Int) throws {
    guard probabilities.count == classes else {
      throw Refused("\(probabilities.count) probabilities for \(classes) classes")
    }
    let inside = probabilities.allSatisfy { $0 >= -slack && $0 <= 1 + slack }  // false for NaN
    guard inside, abs(probabilities.reduce(0, +) - 1) <= slack else {
      throw Refused("what the model gave are no probabilities")
    }
  }

  /// Throws `Refused` unless this holds for squares of `side` pixels and so many questions.
  func check(side: Int, questions: Int) throws {
    guard version == Decision.version else {
      throw Refused("the thresholds are of \(version), not of \(Decision.version)")
    }
    guard side == self.side else {
      throw Refused("the limits hold for a side of \(self.side), not of \(side)")
    }
    try checkLimits()
    try thresholds.check(questions: questions)
  }

  /// Throws `Refused` for limits that nobody knows or that are none.
  private func checkLimits() throws {
    for (name, _, most) in Decision.checks {
      guard let limit = quality[name] else { throw Refused("the thresholds have no limit for \(name)") }
      try whole(limit, 0, most, "the limit for \(name)")
    }
    if let unknown = quality.keys.first(where: { name in !Decision.checks.contains { $0.name == name } }) {
      throw Refused("the thresholds have a limit for \(unknown), which nobody knows")
    }
  }

  /// The names of the checks that send a picture back, in the order of their reasons.
  public static func failed(_ measured: Measured, _ limits: [String: Int]) -> [String] {
    checks.filter { check in
      guard let value = measured[check.name], let limit = limits[check.name] else { return false }
      return check.more ? value > limit : value < limit
    }.map { $0.name }
  }

  /// The outcome for a measured square and the probabilities to be shown. Call `check` first.
  public func decide(_ measured: Measured, probabilities: [Double], codes: [String]) -> Outcome {
    let failed = Decision.failed(measured, quality)
    if !failed.isEmpty { return .retake(failed) }
    let largest = probabilities.max() ?? 0
    if largest < thresholds.abstain_threshold { return .uncertain }
    return .class(codes[highest(probabilities)])
  }
}

public enum Outcome: Equatable {
  case retake([String])  // the checks that failed
  case uncertain
  case `class`(String)  // its code
}

/// The place of the largest number, the first of equal ones.
public func highest(_ numbers: [Double]) -> Int {
  numbers.indices.reduce(0) { numbers[$1] > numbers[$0] ? $1 : $0 }
}
