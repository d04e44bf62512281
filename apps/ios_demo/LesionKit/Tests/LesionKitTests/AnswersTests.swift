import Foundation
import XCTest

@testable import LesionKit

final class AnswersTests: XCTestCase {
  struct Encoded: Decodable {
    let name: String
    let questions: String
    let answers: [String: Answer?]
    let vector: [Double]
  }

  struct Spoilt: Decodable {
    let name: String
    let accepted: Bool?
    let questions: String
    let answers: Raw
  }

  struct InForce: Decodable {
    let name: String
    let decision: Thresholds
    let answered: Int
    let probabilities: [Double]
    let flags: [Bool?]
    let tempered: [Double]
    let sure: Bool
    let malignant: Bool?
  }

  struct Cases: Decodable {
    let questions: [String: [Question]]
    let encoded: [Encoded]
    let refused: [Spoilt]
    let thresholds: [InForce]
  }

  func testGoldenAnswers() throws {
    let cases = try Golden.cases("answers", as: Cases.self)
    for questions in cases.questions.values {
      XCTAssertEqual(try Question.places(of: questions), questions.reduce(0) { $0 + $1.length })
    }
    for entry in cases.encoded {
      let answers = entry.answers.compactMapValues { $0 }
      let vector = try Answers.encode(answers, XCTUnwrap(cases.questions[entry.questions]))
      XCTAssertEqual(vector.count, entry.vector.count, entry.name)
      for (came, wanted) in zip(vector, entry.vector) {
        XCTAssertEqual(Double(came), wanted, accuracy: 1e-6, entry.name)
      }
    }
    for entry in cases.refused {
      let refused = try Golden.refuses {
        let answers = try entry.answers.read([String: Answer?].self)
        try Answers.check(answers, XCTUnwrap(cases.questions[entry.questions]))
      }
      XCTAssertEqual(refused, entry.accepted != true, entry.name)
    }
    for entry in cases.thresholds {
      let force = entry.decision.inForce(answered: entry.answered)
      let shown = force.tempered(entry.probabilities)
      for (came, wanted) in zip(shown, entry.tempered) { XCTAssertEqual(came, wanted, accuracy: 1e-9, entry.name) }
      XCTAssertEqual((shown.max() ?? 0) >= force.abstain_threshold, entry.sure, entry.name)
      XCTAssertEqual(force.countsAsMalignant(shown, entry.flags), entry.malignant, entry.name)
    }
    Golden.counted("answers", cases.encoded.count + cases.refused.count + cases.thresholds.count)
  }

  func testAnAnswerMultipliesTheOdds() throws {
    let questions = try XCTUnwrap(Golden.cases("answers", as: Cases.self).questions["nine"])
    let places = questions.reduce(0) { $0 + $1.length }
    let age = try XCTUnwrap(questions.first { $0.id == "age" })
    var row = [Double](repeating: 0, count: places)
    row[age.offset + 2] = 1  // the knot at 40
    let odds = try Answers.odds("age", .number(50), questions, logOdds: [row, row.map { -$0 }])
    XCTAssertEqual(odds[0], exp(0.5), accuracy: 1e-9)
    XCTAssertEqual(odds[1], exp(-0.5), accuracy: 1e-9)
  }
}
