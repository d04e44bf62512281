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

  struct Masked: Predictor {
    func run(_ square: [UInt8], answers: [Float]) throws -> Prediction {
      Prediction(probabilities: [0.25, 0.75], mask: [Float](repeating: 1, count: square.count / 3))
    }
  }

  /// The bundle with a mask, a question, and thresholds that send back what is darker than `light`.
  func gated(light: Int) throws -> ModelBundle {
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.copyItem(at: bundle().folder, to: copy)
    defer { try? FileManager.default.removeItem(at: copy) }
    let place = copy.appendingPathComponent("manifest.json")
    let read = try JSONSerialization.jsonObject(with: Data(contentsOf: place))
    var manifest = try XCTUnwrap(read as? [String: Any])
    var files = try XCTUnwrap(manifest["files"] as? [[String: Any]])
    files[0]["answers"] = true
    let limits = [
      "light": light, "clipped": 1000, "contrast": 0, "fine": 0, "coarse": 0, "busy": 9999, "warm": 0, "green": 1000,
      "spot": 0,
    ]
    let side = try bundle().manifest.input.side
    manifest["files"] = files
    manifest["mask"] = ["name": "mask", "meaning": "drawn", "side": side, "threshold": 0.5]
    manifest["questions"] = [
      [
        "id": "itches", "text": ["en": "?"], "kind": "yes_no", "choices": [Any](), "knots": [Any](), "offset": 0,
        "length": 2, "unit": NSNull(), "min": NSNull(), "max": NSNull(),
      ]
    ]
    manifest["log_odds"] = [[0.5, 0], [0, 0]]
    let drawn: [String: Any] = ["name": "drawn", "images": 1, "patients": 1]
    manifest["decision"] = [
      "version": "gate-2", "side": side, "quality": limits, "abstain_threshold": 0.5, "coverage": 0.9,
      "measured": [
        "quality_from": drawn, "abstain_from": drawn, "alarm_share_per_check": 0.01, "false_alarms": [Any](),
      ],
    ]
    var output = try XCTUnwrap(manifest["output"] as? [String: Any])
    output["abstain_threshold"] = 0.5
    manifest["output"] = output
    try JSONSerialization.data(withJSONObject: manifest).write(to: place)
    return try ModelBundle(folder: copy, system: (17, 4))
  }

  /// Neither probabilities nor the lesion's outline nor what answers did to the odds.
  func testNothingIsSaidOfAPictureToBeTakenAgain() throws {
    var examination = Examination()
    examination.take(try photograph(), try gated(light: 0), Masked(), answers: ["itches": .yesNo(true)])
    XCTAssertNil(examination.message)
    let good = try XCTUnwrap(examination.shown)
    XCTAssertEqual(good.mask?.count, good.square.count / 3)
    XCTAssertEqual([good.probabilities.count, good.effects.count], [2, 1])
    examination.take(try photograph(), try gated(light: 255), Masked(), answers: ["itches": .yesNo(true)])
    let sent = try XCTUnwrap(examination.shown)
    XCTAssertEqual(sent.outcome, .retake(["light"]))
    XCTAssertEqual(sent.square, good.square)
    XCTAssertNil(sent.mask)
    XCTAssertTrue(sent.probabilities.isEmpty && sent.effects.isEmpty)
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
