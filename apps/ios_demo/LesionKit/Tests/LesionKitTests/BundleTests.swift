import Foundation
import XCTest

@testable import LesionKit

/// A bundle that `dermedge bundle --app ios` wrote: tests/apps/test_ios.py names it in LESIONKIT_BUNDLE.
final class BundleTests: XCTestCase {
  struct Told: Predictor {
    let answers: [[Double]]  // in turn, of each image

    final class Turn { var runs = 0 }
    let turn = Turn()

    func run(_ square: [UInt8], answers vector: [Float]) throws -> Prediction {
      defer { turn.runs += 1 }
      return Prediction(probabilities: answers[turn.runs / (SelfTestResult.repeats + 1)])
    }
  }

  func folder() throws -> URL {
    guard let path = ProcessInfo.processInfo.environment["LESIONKIT_BUNDLE"] else {
      throw XCTSkip("LESIONKIT_BUNDLE names no bundle: pytest tests/apps/test_ios.py makes one")
    }
    return URL(fileURLWithPath: path)
  }

  /// The decoded pixels of a self-test image lie beside it, because there is no PNG decoder on Linux.
  func pixels(_ folder: URL, _ tests: [Manifest.SelfTest]) -> (Data) throws -> [UInt8] {
    { data in
      let hash = Sha256.hex([UInt8](data))
      let name = try XCTUnwrap(tests.first { $0.sha256 == hash }).image
      return [UInt8](try Data(contentsOf: folder.appendingPathComponent("\(name).rgb")))
    }
  }

  func testItIsReadTestedAndReported() throws {
    let folder = try folder()
    let bundle = try ModelBundle(folder: folder, system: (17, 4))
    let told = Told(answers: bundle.tests.map { $0.expected[bundle.file.file]! })
    let result = try SelfTestResult.run(bundle, told, system: "17.4", pixels: pixels(folder, bundle.tests))
    XCTAssertEqual(result.failed, [])
    XCTAssertEqual(result.difference, 0)
    XCTAssertEqual(result.times.count, bundle.tests.count * (SelfTestResult.repeats + 1) - 1)
    let report = try DeviceReport.text(
      bundle, result, device: DeviceReport.Device(model: "iPhone15,4", system: "iOS 17.4"), system: "17.4",
      accelerator: "cpu", load: 12.5, memory: nil)
    try report.write(to: folder.appendingPathComponent("device-report.json"))
    for (memory, said) in [(0, "null"), (1000, "1000")] {  // 0: the system did not say
      let other = try DeviceReport.text(
        bundle, result, device: DeviceReport.Device(model: "iPhone15,4", system: "iOS 17.4"), system: "17.4",
        accelerator: "cpu", load: 12.5, memory: memory)
      XCTAssertTrue(String(decoding: other, as: UTF8.self).contains("memory_bytes\\\":\(said)"), said)
    }
  }

  func testAnotherClassFails() throws {
    let folder = try folder()
    let bundle = try ModelBundle(folder: folder, system: (17, 4))
    let turned = bundle.tests.map { Array($0.reference.dropFirst()) + [$0.reference[0]] }
    let result = try SelfTestResult.run(
      bundle, Told(answers: turned), system: "17.4", pixels: pixels(folder, bundle.tests))
    XCTAssertEqual(result.failed, bundle.tests.map { $0.image })
    let none = bundle.tests.map { $0.reference.map { _ in Double.nan } }
    let empty = try SelfTestResult.run(
      bundle, Told(answers: none), system: "17.4", pixels: pixels(folder, bundle.tests))
    XCTAssertEqual(empty.failed, bundle.tests.map { $0.image })
  }

  func testOtherPixelsAreRefused() throws {
    let folder = try folder()
    let bundle = try ModelBundle(folder: folder, system: (17, 4))
    let told = Told(answers: bundle.tests.map { $0.reference })
    let side = bundle.manifest.input.side
    XCTAssertThrowsError(
      try SelfTestResult.run(bundle, told, system: "17.4") { _ in [UInt8](repeating: 9, count: 3 * side * side) }
    ) { XCTAssertTrue("\($0.localizedDescription)".contains("other pixels")) }
  }

  /// What is spoilt in a copy of the bundle, and a word of the sentence that refuses it.
  func testWhatIsNotTheBundleIsRefused() throws {
    let source = try folder()
    let file = try ModelBundle(folder: source, system: (17, 4)).file.file
    let cases: [(String, (URL) throws -> Void)] = [
      ("no model", { try FileManager.default.removeItem(at: $0.appendingPathComponent("manifest.json")) }),
      ("cannot be read", { try self.replace($0, "{", "[") }),
      ("manifest/9", { try self.replace($0, "dermedge/manifest/3", "dermedge/manifest/9") }),
      ("area-9", { try self.replace($0, "\"area-2\"", "\"area-9\"") }),
      ("labels", { try self.replace($0, "\"labels\"", "\"labelz\"") }),
      ("self_test/0/image", { try self.replace($0, "self_test_0.png", "../self_test_0.png") }),
      ("opens from iOS 99", { try self.replace($0, "\"iOS 1", "\"iOS 99 1") }),
      ("no version of iOS", { try self.replace($0, "\"iOS 1", "\"visionOS 1") }),
      ("has no \(file)", { try FileManager.default.removeItem(at: $0.appendingPathComponent(file)) }),
      (
        "is not the file of the manifest",
        { try Data([1]).write(to: $0.appendingPathComponent(file).appendingPathComponent("more")) }
      ),
    ]
    for (words, spoil) in cases {
      let copy = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      try FileManager.default.copyItem(at: source, to: copy)
      defer { try? FileManager.default.removeItem(at: copy) }
      try spoil(copy)
      XCTAssertThrowsError(try ModelBundle(folder: copy, system: (17, 4)), words) { error in
        XCTAssertTrue(error is Refused, "\(error)")
        XCTAssertTrue(error.localizedDescription.contains(words), error.localizedDescription)
      }
    }
    let opens = try ModelBundle(folder: source, system: (17, 4))
    XCTAssertThrowsError(try ModelBundle(folder: source, system: (12, 0)), opens.file.opens_from)
  }

  func testASelfTestImageThatIsAnotherIsRefused() throws {
    let source = try folder()
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.copyItem(at: source, to: copy)
    defer { try? FileManager.default.removeItem(at: copy) }
    let bundle = try ModelBundle(folder: copy, system: (17, 4))
    try Data([1, 2]).write(to: copy.appendingPathComponent(bundle.tests[0].image))
    XCTAssertTrue(try Golden.refuses { _ = try bundle.image(bundle.tests[0]) })
  }

  private func replace(_ folder: URL, _ old: String, _ new: String) throws {
    let place = folder.appendingPathComponent("manifest.json")
    let text = try String(contentsOf: place, encoding: .utf8)
    XCTAssertTrue(text.contains(old), old)
    try text.replacingOccurrences(of: old, with: new).write(to: place, atomically: true, encoding: .utf8)
  }
}
