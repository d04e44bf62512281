import Foundation
import XCTest

@testable import LesionKit

/// What stands on the screen after a photograph, an answer, and a refusal of either.
final class ExaminationTests: XCTestCase {
  struct Told: Predictor {
    let probabilities: [Double]

    func run(_ square: [UInt8], answers: [Float]) throws -> Prediction { Prediction(probabilities: probabilities) }
  }

  let good = Told(probabilities: [0.25, 0.75])

  func bundle() throws -> ModelBundle {
    guard let path = ProcessInfo.processInfo.environment["LESIONKIT_BUNDLE"] else {
      throw XCTSkip("LESIONKIT_BUNDLE names no bundle: pytest tests/apps/test_ios.py makes one")
    }
    return try ModelBundle(folder: URL(fileURLWithPath: path), system: (17, 4))
  }

  func photograph() throws -> Picture {
    try Picture(width: 40, height: 40, data: Golden.noise(3, 3 * 40 * 40))
  }

  func testAPhotographIsAnswered() throws {
    let bundle = try bundle()
    var examination = Examination()
    examination.answer(bundle, good, answers: [:])
    XCTAssertNil(examination.shown)  // there is no photograph yet
    examination.take(try photograph(), bundle, good, answers: [:])
    XCTAssertEqual(examination.shown?.outcome, .class(bundle.manifest.codes[1]))
    XCTAssertEqual(examination.shown?.probabilities, good.probabilities)
    XCTAssertNil(examination.message)
  }

  /// What is no picture, no probabilities or no answer, each after a good one: a message, and nothing of the good one.
  func testARefusalLeavesNoEarlierAnswer() throws {
    let bundle = try bundle()
    let wrong = [[.nan, .nan], [0.9, 0.9], [1], [-0.5, 1.5], [.infinity, 0]].map(Told.init)
    let refusals: [(inout Examination) throws -> Void] =
      wrong.map { told in { $0.answer(bundle, told, answers: [:]) } }
      + wrong.map { told in { $0.take(try self.photograph(), bundle, told, answers: [:]) } }
      + [
        { $0.answer(bundle, self.good, answers: ["nobody asked": .yesNo(true)]) },
        { $0.forget("no photograph") },
      ]
    for (place, refusal) in refusals.enumerated() {
      var examination = Examination()
      examination.take(try photograph(), bundle, good, answers: [:])
      XCTAssertNotNil(examination.shown)
      try refusal(&examination)
      XCTAssertNil(examination.shown, "\(place)")
      XCTAssertNotNil(examination.message, "\(place)")
    }
  }

  func testAForgottenPhotographIsNotAnsweredAgain() throws {
    let bundle = try bundle()
    var examination = Examination()
    examination.take(try photograph(), bundle, good, answers: [:])
    examination.forget("no photograph")
    examination.answer(bundle, good, answers: [:])
    XCTAssertNil(examination.shown)
    XCTAssertEqual(examination.message, "no photograph")
  }
}
