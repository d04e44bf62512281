import XCTest

@testable import LesionKit

/// Damaged and odd EXIF blocks say of the colours what Python reads in them; their orientation is the system's to read.
final class ExifTests: XCTestCase {
  private struct Vectors: Decodable {
    let cases: [Block]
  }

  private struct Block: Decodable {
    let name: String
    let block: String  // hexadecimal digits
    let otherSpace: Bool

    enum CodingKeys: String, CodingKey {
      case name, block
      case otherSpace = "other_space"
    }

    var bytes: [UInt8] {
      let digits = Array(block)
      return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0..<$0 + 2]), radix: 16) }
    }
  }

  func testColours() throws {
    let cases = try Golden.cases("exif", as: Vectors.self).cases
    for one in cases {
      XCTAssertEqual(one.bytes.count * 2, one.block.count, one.name)
      XCTAssertEqual(ExifColour(one.bytes[...]).isOther, one.otherSpace, one.name)
    }
    Golden.counted("exif", cases.count)
  }
}
