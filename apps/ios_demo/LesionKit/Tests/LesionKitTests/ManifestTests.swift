import Foundation
import XCTest

@testable import LesionKit

/// The manifests that every app must refuse, and those that it must take.
final class ManifestTests: XCTestCase {
  struct Changed: Decodable {
    let name: String
    let accepted: Bool
    let changes: [String: Raw]
  }

  struct Cases: Decodable {
    let manifest: [String: Raw]
    let cases: [Changed]
  }

  func testGoldenManifests() throws {
    let golden = try Golden.cases("manifests", as: Cases.self)
    for entry in golden.cases {
      var manifest = golden.manifest.merging(entry.changes) { _, changed in changed }
      for (key, value) in entry.changes {
        if case .nothing = value { manifest[key] = nil }
      }
      let text = try JSONEncoder().encode(manifest)
      var said: String?
      do {
        _ = try Manifest.read(text)
      } catch let error as Refused {
        said = error.message
      }
      XCTAssertEqual(said == nil, entry.accepted, "\(entry.name): \(said ?? "taken")")
    }
    Golden.counted("manifests", golden.cases.count)
  }

  /// The cases leave out what they set to null, so this is for itself.
  func testNullIsNotLeftOut() throws {
    let golden = try Golden.cases("manifests", as: Cases.self)
    for key in ["mask", "log_odds", "decision"] {
      XCTAssertNotNil(golden.manifest[key], key)
      let text = try JSONEncoder().encode(golden.manifest.merging([key: .nothing]) { _, changed in changed })
      XCTAssertTrue(try Golden.refuses { _ = try Manifest.read(text) }, key)
    }
  }
}
