import Foundation
import XCTest

@testable import LesionKit

/// The vectors of tests/golden, which all languages share.
enum Golden {
  static let folder = URL(fileURLWithPath: #filePath)  // …/apps/ios_demo/LesionKit/Tests/LesionKitTests/Golden.swift
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("tests/golden")

  static func cases<T: Decodable>(_ name: String, as type: T.Type) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder.appendingPathComponent("\(name)/cases.json")))
  }

  /// The upper bytes of a linear congruential generator.
  static func noise(_ seed: UInt32, _ count: Int) -> [UInt8] {
    var x = seed
    return (0..<count).map { _ in
      x = 1_664_525 &* x &+ 1_013_904_223
      return UInt8(x >> 24)
    }
  }

  static func bytes(_ base64: String) throws -> [UInt8] {
    [UInt8](try XCTUnwrap(Data(base64Encoded: base64)))
  }

  /// Whether an action is refused, by `Refused` or because it is no such value at all; other errors go on.
  static func refuses(_ action: () throws -> Void) throws -> Bool {
    do {
      try action()
      return false
    } catch is Refused {
      return true
    } catch is DecodingError {
      return true
    }
  }

  /// Says how many vectors were compared, for whoever counts them.
  static func counted(_ name: String, _ count: Int) {
    print("golden \(name): \(count)")
  }
}

/// A value that may be something else than expected; reading it as what it should be is what is tested.
enum Raw: Codable {
  case nothing
  case yesNo(Bool)
  case number(Double)
  case text(String)
  case list([Raw])
  case object([String: Raw])

  init(from decoder: Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .nothing
    } else if let yes = try? value.decode(Bool.self) {
      self = .yesNo(yes)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let list = try? value.decode([Raw].self) {
      self = .list(list)
    } else {
      self = .object(try value.decode([String: Raw].self))
    }
  }

  func encode(to encoder: Encoder) throws {
    var value = encoder.singleValueContainer()
    switch self {
    case .nothing: try value.encodeNil()
    case .yesNo(let yes): try value.encode(yes)
    case .number(let number): try value.encode(number)
    case .text(let text): try value.encode(text)
    case .list(let list): try value.encode(list)
    case .object(let object): try value.encode(object)
    }
  }

  func read<T: Decodable>(_ type: T.Type) throws -> T {
    try JSONDecoder().decode(type, from: JSONEncoder().encode(self))
  }
}
