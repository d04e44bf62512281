import Foundation
import XCTest

@testable import LesionKit

/// The manifests that every app must refuse, and those that it must take.
final class ManifestTests: XCTestCase {
  /// The text of a value, with its keys in their order.
  func written(_ value: Json) throws -> String {
    switch value {
    case .null: return "null"
    case .flag(let yes): return "\(yes)"
    case .whole(let number): return "\(number)"
    case .number(let number): return "\(number)"
    case .text(let text): return String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
    case .list(let entries): return "[" + (try entries.map(written)).joined(separator: ",") + "]"
    case .object(let members):
      let pairs = try members.map { try "\(written(.text($0.key))):\(written($0.value))" }
      return "{" + pairs.joined(separator: ",") + "}"
    }
  }

  /// The object with another value of a key, or without it.
  func with(_ key: String, _ value: Json?, in whole: Json) throws -> Json {
    guard case .object(let members) = whole else { throw Refused("\(key) of no object") }
    guard let value else { return .object(members.filter { $0.key != key }) }
    guard whole[key] != nil else { return .object(members + [(key, value)]) }
    return .object(members.map { $0.key == key ? (key, value) : $0 })
  }

  /// The value with something else at a place, or with nothing there.
  func with(_ part: Json, at place: ArraySlice<Json>, in whole: Json) throws -> Json {
    guard let key = place.first else { return try XCTUnwrap(part["value"]) }
    if case .whole(let i) = key, case .list(var entries) = whole {
      entries[i] = try with(part, at: place.dropFirst(), in: entries[i])
      return .list(entries)
    }
    let name = try XCTUnwrap(key.string)
    if place.count == 1 { return try with(name, part["value"], in: whole) }
    return try with(name, with(part, at: place.dropFirst(), in: XCTUnwrap(whole[name])), in: whole)
  }

  func changed(_ entry: Json, _ manifest: Json) throws -> Json {
    var whole = manifest
    if case .object(let changes) = entry["changes"] {
      for (key, value) in changes {
        if case .null = value {
          whole = try with(key, nil, in: whole)
        } else {
          whole = try with(key, value, in: whole)
        }
      }
    }
    guard let part = entry["part"] else { return whole }
    return try with(part, at: part["at"]?.entries[...] ?? [], in: whole)
  }

  func testGoldenManifests() throws {
    let golden = try Json.read(Data(contentsOf: Golden.folder.appendingPathComponent("manifests/cases.json")))
    let manifest = try XCTUnwrap(golden["manifest"])
    let cases = try XCTUnwrap(golden["cases"]).entries
    for entry in cases {
      let name = try XCTUnwrap(entry["name"]?.string)
      var isAccepted = false
      if case .flag(true) = entry["accepted"] { isAccepted = true }
      let text = try written(changed(entry, manifest))
      var said: String?
      do {
        _ = try Manifest.read(Data(text.utf8))
      } catch let error as Refused {
        said = error.message
      }
      XCTAssertEqual(said == nil, isAccepted, "\(name): \(said ?? "taken")")
    }
    Golden.counted("manifests", cases.count)
  }

  /// What a parser would let pass: a key that stands twice, text behind the value, a number as no JSON has it.
  func testTextsThatAreNoJson() throws {
    for text in [
      "", "{", "[1,]", "{\"a\":1,}", "01", "+1", ".5", "1.", "1e", "NaN", "1e999", "\"\u{1}\"", "\"\\x\"", "tru", "1 2",
      "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{a:1}", "\"open", String(repeating: "[", count: 100_000),
    ] {
      XCTAssertTrue(try Golden.refuses { _ = try Json.read(Data(text.utf8)) }, String(text.prefix(20)))
    }
    let marked = try Json.read(Data("\u{FEFF}{\"b\": [1, -2.5e1, true, null], \"a\": \"\\u00e9\\n\"}".utf8))
    XCTAssertEqual(try written(marked), "{\"b\":[1,-25.0,true,null],\"a\":\"é\\n\"}")
  }
}
