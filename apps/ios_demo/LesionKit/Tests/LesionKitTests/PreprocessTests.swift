import XCTest

@testable import LesionKit

final class PreprocessTests: XCTestCase {
  struct Content: Decodable {
    let noise: UInt32?
    let data: String?
    let fill: UInt8?
    let bytes: Int?
    let row_stride: Int?
    let pixel_stride: Int?

    func content(_ count: Int? = nil) throws -> [UInt8] {
      if let data { return try Golden.bytes(data) }
      let length = try XCTUnwrap(count ?? bytes)
      if let fill { return [UInt8](repeating: fill, count: length) }
      return Golden.noise(try XCTUnwrap(noise), length)
    }
  }

  struct Square: Decodable {
    let width: Int
    let height: Int
    let sha256: String
  }

  struct Case: Decodable {
    let name: String
    let kind: String
    let width: Int
    let height: Int
    let layout: String?
    let matrix: Camera.Matrix?
    let full_range: Bool?
    let planes: [Content]?
    let row_stride: Int?
    let crop: [Int]?
    let rotation: Int?
    let mirrored: Bool?
    let upright: Square
    let inputs: [Square]
  }

  struct Cases: Decodable {
    let cases: [Both]
  }

  /// A case with the content that stands in the same object.
  struct Both: Decodable {
    let entry: Case
    let own: Content

    init(from decoder: Decoder) throws {
      entry = try Case(from: decoder)
      own = try Content(from: decoder)
    }
  }

  func frame(_ both: Both) throws -> Picture {
    let entry = both.entry
    let (width, height) = (entry.width, entry.height)
    switch entry.kind {
    case "rgb":
      return try Picture(width: width, height: height, data: both.own.content(3 * width * height))
    case "bgra":
      return try Camera.rgb(
        width: width, height: height, bgra: both.own.content(), rowStride: XCTUnwrap(entry.row_stride))
    default:
      let planes: [Plane]
      if let layout = Camera.Layout(rawValue: try XCTUnwrap(entry.layout)) {
        planes = try Camera.planes(layout, both.own.content(), width: width, height: height)
      } else {
        planes = try XCTUnwrap(entry.planes).map {
          Plane(
            data: try $0.content(), rowStride: try XCTUnwrap($0.row_stride),
            pixelStride: try XCTUnwrap($0.pixel_stride))
        }
      }
      return try Camera.rgb(
        width: width, height: height, planes: planes, matrix: XCTUnwrap(entry.matrix),
        fullRange: XCTUnwrap(entry.full_range))
    }
  }

  func testGoldenBytes() throws {
    var count = 0
    for both in try Golden.cases("preprocess", as: Cases.self).cases {
      let entry = both.entry
      let picture = try Camera.upright(
        frame(both), crop: entry.crop, rotation: entry.rotation ?? 0, mirrored: entry.mirrored ?? false)
      XCTAssertEqual(picture.width, entry.upright.width, entry.name)
      XCTAssertEqual(picture.height, entry.upright.height, entry.name)
      XCTAssertEqual(Sha256.hex(picture.data), entry.upright.sha256, entry.name)
      count += 1
      for square in entry.inputs {
        let input = try Preprocess.modelInput(picture, side: square.width)
        XCTAssertEqual(Sha256.hex(input), square.sha256, "\(entry.name), \(square.width)")
        count += 1
      }
    }
    Golden.counted("preprocess", count)
  }

  func testFourBytesAPixelGiveTheSameAsThree() throws {
    let rgb = Golden.noise(7, 3 * 40 * 31)
    var rgba = [UInt8]()
    for from in stride(from: 0, to: rgb.count, by: 3) { rgba += rgb[from..<from + 3] + [77] }
    XCTAssertEqual(
      try Preprocess.modelInput(Picture(width: 40, height: 31, data: rgb), side: 16),
      try Preprocess.modelInput(Picture(width: 40, height: 31, channels: 4, data: rgba), side: 16))
  }

  func testWhatIsNoPictureIsRefused() throws {
    let pixel = try Picture(width: 1, height: 1, data: [1, 2, 3])
    let plane = { (bytes: Int, row: Int) in
      Plane(data: [UInt8](repeating: 0, count: bytes), rowStride: row, pixelStride: 1)
    }
    let refused: [(String, () throws -> Void)] = [
      ("no width", { _ = try Picture(width: 0, height: 1, data: []) }),
      ("too many pixels", { try Picture.checkSize(10_000, 5_001) }),
      ("too long", { try Picture.checkSize(20_001, 1) }),
      ("too few bytes", { _ = try Picture(width: 2, height: 2, data: [0, 0, 0]) }),
      ("a side of 0", { _ = try Preprocess.modelInput(pixel, side: 0) }),
      ("a side of 4097", { _ = try Preprocess.modelInput(pixel, side: 4097) }),
      ("a rotation of 45", { _ = try Camera.upright(pixel, rotation: 45) }),
      ("an empty crop", { _ = try Camera.upright(pixel, crop: [0, 0, 0, 1]) }),
      ("a crop outside", { _ = try Camera.upright(pixel, crop: [0, 0, 2, 1]) }),
      ("a short row stride", { try plane(100, 3).check(4, 4, sampleBytes: 1, name: "Y") }),
      ("a short buffer", { try plane(15, 4).check(4, 4, sampleBytes: 1, name: "Y") }),
      ("a row stride of 0", { try plane(100, 0).check(1, 4, sampleBytes: 1, name: "Y") }),
    ]
    for (name, action) in refused { XCTAssertTrue(try Golden.refuses(action), name) }
    XCTAssertFalse(try Golden.refuses { try plane(16, 4).check(4, 4, sampleBytes: 1, name: "Y") })
  }
}
