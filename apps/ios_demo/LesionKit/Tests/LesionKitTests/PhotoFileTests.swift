import Foundation
import XCTest

@testable import LesionKit

final class PhotoFileTests: XCTestCase {
  let files = Golden.folder.appendingPathComponent("preprocess/files")

  func refusal(_ bytes: [UInt8]) -> String? {
    do {
      try PhotoFile.check(bytes)
      return nil
    } catch {
      return error.localizedDescription
    }
  }

  /// The golden photographs: what a decoder may be given, and what is refused for what it states.
  func testWhatIsRefused() throws {
    let refused = [
      "cicp_p3.png": "cICP", "display_p3.png": "iCCP", "exif_r03.png": "eXIf", "gama_chrm_adobe_rgb.png": "gAMA",
      "gama_linear.png": "gAMA", "gama_of_srgb_alone.png": "gAMA", "orientation_3.png": "eXIf",
      "srgb_before_gama.png": "gAMA", "transparent_colour.png": "tRNS", "translucent.png": "transparent",
      "grey16.png": "16 bits", "exif_r03.jpg": "colour space", "lossless.webp": "neither", "quality_90.webp": "neither",
      "nclx_p3.avif": "avif",
    ]
    let read = [
      "rgb.png", "grey.png", "palette.png", "one_pixel.png", "chroma_420.jpg", "quality_95.jpg", "progressive.jpg",
      "grey.jpg", "orientation_3.jpg", "orientation_6.jpg", "orientation_8.jpg", "display_p3.jpg", "quality_95.heic",
    ]
    for (name, words) in refused {
      let said = refusal([UInt8](try Data(contentsOf: files.appendingPathComponent(name)))) ?? "read"
      XCTAssertTrue(said.contains(words), "\(name): \(said)")
    }
    for name in read {
      XCTAssertNil(refusal([UInt8](try Data(contentsOf: files.appendingPathComponent(name)))), name)
    }
  }

  /// No file of any bytes makes it crash; each is read or refused.
  func testDamagedFiles() throws {
    for name in ["exif_r03.jpg", "orientation_6.jpg", "gama_linear.png", "quality_95.heic"] {
      let bytes = [UInt8](try Data(contentsOf: files.appendingPathComponent(name)))
      for seed in UInt32(1)...200 {
        var spoilt = bytes
        for place in Golden.noise(seed, 8) {
          spoilt[Int(place) % spoilt.count] = UInt8(truncatingIfNeeded: seed) ^ place
        }
        _ = refusal(spoilt)
        _ = refusal(Array(spoilt.prefix(Int(seed) * 3)))
      }
    }
  }

  struct Turned: Decodable {
    struct Entry: Decodable {
      let file: String
      let width: Int
      let height: Int
      let rgb: String?
    }

    let files: [Entry]
  }

  /// Each golden photograph with an orientation stands for the one with orientation 1, turned.
  func testOrientations() throws {
    let text = try Data(contentsOf: Golden.folder.appendingPathComponent("preprocess/files.json"))
    let entries = try JSONDecoder().decode(Turned.self, from: text).files
    func picture(_ name: String) throws -> Picture {
      let entry = try XCTUnwrap(entries.first { $0.file == name })
      return try Picture(
        width: entry.width, height: entry.height, data: Golden.bytes(try XCTUnwrap(entry.rgb)))
    }
    let stored = try picture("orientation_1.png")
    for orientation in 1...8 {
      let turn = PhotoFile.turn(orientation: orientation)
      let upright = try Camera.upright(stored, rotation: turn.rotation, mirrored: turn.mirrored)
      XCTAssertEqual(upright.data, try picture("orientation_\(orientation).png").data, "orientation \(orientation)")
    }
  }
}
