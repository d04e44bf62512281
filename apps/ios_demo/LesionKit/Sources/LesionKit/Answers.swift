import Foundation

/// A question of the manifest.
public struct Question: Decodable {
  public enum Kind: String, Decodable {
    case yes_no, choice, number
  }

  public struct Choice: Decodable {
    public let id: String
    public let text: [String: String]
  }

  public let id: String
  public let text: [String: String]  // language -> words
  public let kind: Kind
  public let choices: [Choice]
  public let unit: String?
  public let min: Double?
  public let max: Double?
  public let knots: [Double]
  public let offset: Int
  public let length: Int

  static let largest = 1e9  // of min, max and knots, whose differences are divided by

  /// Whether this is an answer to it.
  public func takes(_ answer: Answer) -> Bool {
    switch (kind, answer) {
    case (.yes_no, .yesNo): return true
    case (.choice, .choice(let id)): return choices.contains { $0.id == id }
    case (.number, .number(let value)):
      guard let min, let max else { return false }
      return value >= min && value <= max  // false for NaN
    default: return false
    }
  }

  /// Throws `Refused` for what fits the schema and contradicts itself.
  func check() throws {
    let places: Int
    switch kind {
    case .yes_no: places = 2
    case .choice: places = choices.count
    case .number: places = 1 + knots.count
    }
    guard length == places else {
      throw Refused("the question \(id) of the manifest has other places than its kind takes; bundle again")
    }
    let differ = Set(choices.map { $0.id }).count == choices.count
    guard kind == .choice ? choices.count >= 2 && differ : choices.isEmpty else {
      throw Refused("the question \(id) of the manifest has not the choices of its kind; bundle again")
    }
    if kind == .number {
      try checkRange()
    } else if unit != nil || min != nil || max != nil || !knots.isEmpty {
      throw Refused("the question \(id) of the manifest has a range, and asks for no number; bundle again")
    }
  }

  private func checkRange() throws {
    let far = -Question.largest...Question.largest
    guard let min, let max, far.contains(min), far.contains(max), min < max else {
      throw Refused("the question \(id) of the manifest has no range; bundle again")
    }
    let ascending = zip(knots, knots.dropFirst()).allSatisfy { $0 < $1 }
    guard knots.count >= 2, ascending, knots.allSatisfy(far.contains) else {
      throw Refused("the knots of the question \(id) of the manifest do not ascend; bundle again")
    }
  }

  /// The places of the second input; `Refused` unless each question has its own, one after the other.
  static func places(of questions: [Question]) throws -> Int {
    var next = 0
    for question in questions {
      try question.check()
      guard question.offset == next else {
        throw Refused("the question \(question.id) of the manifest does not begin at place \(next); bundle again")
      }
      next += question.length
    }
    guard Set(questions.map { $0.id }).count == questions.count else {
      throw Refused("the ids of the manifest's questions are not all different; bundle again")
    }
    return next
  }
}

public enum Answer: Decodable, Hashable {
  case yesNo(Bool)
  case choice(String)
  case number(Double)

  public init(from decoder: Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let answer = try? value.decode(Bool.self) {
      self = .yesNo(answer)
    } else if let answer = try? value.decode(String.self) {
      self = .choice(answer)
    } else {
      self = .number(try value.decode(Double.self))
    }
  }
}

/// docs/answers.md: what a person answers becomes the model's second input. What is nil or not in `answers` is not
/// answered.
public enum Answers {
  /// Throws `Refused` for an answer that a question does not take, or to a question that the manifest has not.
  public static func check(_ answers: [String: Answer?], _ questions: [Question]) throws {
    for (id, answer) in answers {
      guard let question = questions.first(where: { $0.id == id }) else {
        throw Refused("no question is called \(id)")
      }
      guard let answer else { continue }
      guard question.takes(answer) else { throw Refused("\(id): \(answer) is no answer to this question") }
    }
  }

  /// The second input, as many numbers as the questions have places; all 0 where nothing is answered.
  public static func encode(_ answers: [String: Answer], _ questions: [Question]) throws -> [Float] {
    try check(answers, questions)
    var vector = [Float](repeating: 0, count: questions.reduce(0) { $0 + $1.length })
    for question in questions {
      let first = question.offset
      guard let answer = answers[question.id] else { continue }
      guard first >= 0, first + question.length <= vector.count else {
        throw Refused("the question \(question.id) lies outside of the input of answers; bundle again")
      }
      switch answer {
      case .yesNo(let yes): vector[first + (yes ? 0 : 1)] = 1
      case .choice(let id): vector[first + (question.choices.firstIndex { $0.id == id } ?? 0)] = 1
      case .number(let value):
        let knots = question.knots
        vector[first] = 1
        let number = Swift.min(Swift.max(value, knots[0]), knots[knots.count - 1])
        let below = knots.dropLast().lastIndex { $0 <= number } ?? 0
        let share = (number - knots[below]) / (knots[below + 1] - knots[below])
        vector[first + 1 + below] = Float(1 - share)
        vector[first + 2 + below] = Float(share)
      }
    }
    return vector
  }

  /// What one answer multiplies the odds of each class with. `logOdds`: a row for each class.
  public static func odds(_ id: String, _ answer: Answer, _ questions: [Question], logOdds: [[Double]]) throws
    -> [Double]
  {
    let vector = try encode([id: answer], questions)
    return logOdds.map { row in exp(zip(row, vector).reduce(0) { $0 + $1.0 * Double($1.1) }) }
  }
}
