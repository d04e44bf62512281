import Foundation
import XCTest

@testable import LesionKit

final class DecisionTests: XCTestCase {
  struct Drawn: Decodable {
    let name: String
    let side: Int
    let rgb: String?
    let noise: UInt32?
    let measured: [String: Int]
  }

  struct Decided: Decodable {
    let name: String
    let measured: [String: Int]
    let limits: [String: Int]
    let threshold: Double
    let probabilities: [Double]
    let labels: [String]
    let outcome: String
    let label: String?
    let failed: [String]
  }

  struct Spoilt: Decodable {
    let name: String
    let accepted: Bool?
    let side: Raw
    let decision: Raw
    let probabilities: Raw
    let labels: [String]
  }

  struct Cases: Decodable {
    let pictures: [Drawn]
    let outcomes: [Decided]
    let refused: [Spoilt]
  }

  func decision(_ limits: [String: Int], _ threshold: Double) throws -> Decision {
    let value: [String: Any] = [
      "version": "gate-2", "side": 128, "quality": limits, "abstain_threshold": threshold,
    ]
    return try JSONDecoder().decode(Decision.self, from: JSONSerialization.data(withJSONObject: value))
  }

  func testGoldenOutcomes() throws {
    let cases = try Golden.cases("decision", as: Cases.self)
    for drawn in cases.pictures {
      let square = try drawn.rgb.map(Golden.bytes) ?? Golden.noise(XCTUnwrap(drawn.noise), 3 * drawn.side * drawn.side)
      XCTAssertEqual(try Measure.square(square, side: drawn.side), drawn.measured, drawn.name)
    }
    for entry in cases.outcomes {
      let decision = try decision(entry.limits, entry.threshold)
      try decision.check(side: 128, probabilities: entry.probabilities, codes: entry.labels)
      let outcome = decision.decide(entry.measured, probabilities: entry.probabilities, codes: entry.labels)
      let expected: Outcome
      switch entry.outcome {
      case "retake": expected = .retake(entry.failed)
      case "uncertain": expected = .uncertain
      default: expected = .class(try XCTUnwrap(entry.label))
      }
      XCTAssertEqual(outcome, expected, entry.name)
    }
    for entry in cases.refused {
      let refused = try Golden.refuses {
        let decision = try entry.decision.read(Decision.self)
        let numbers = try entry.probabilities.read([Double?].self).map { $0 ?? .nan }  // JSON has no NaN
        try decision.check(side: entry.side.read(Int.self), probabilities: numbers, codes: entry.labels)
      }
      XCTAssertEqual(refused, entry.accepted != true, entry.name)
    }
    Golden.counted("decision", cases.pictures.count + cases.outcomes.count + cases.refused.count)
  }
}
