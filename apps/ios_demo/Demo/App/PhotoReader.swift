import CoreGraphics
import Foundation
import ImageIO
import LesionKit

/// A file as upright sRGB pixels, decoded by the system. What `PhotoFile` refuses is refused before that.
enum PhotoReader {
  static func read(_ data: Data) throws -> Picture {
    try PhotoFile.check([UInt8](data))
    guard let source = CGImageSourceCreateWithData(data as CFData, nil),
      let facts = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any],
      let width = facts[kCGImagePropertyPixelWidth] as? Int, let height = facts[kCGImagePropertyPixelHeight] as? Int
    else { throw Refused(String(localized: "damaged")) }
    try Picture.checkSize(width, height)
    guard let image = CGImageSourceCreateImageAtIndex(source, 0, nil),
      CGImageSourceGetStatusAtIndex(source, 0) == .statusComplete
    else { throw Refused(String(localized: "damaged")) }
    let turn = PhotoFile.turn(orientation: facts[kCGImagePropertyOrientation] as? Int ?? 1)
    return try Camera.upright(pixels(image), rotation: turn.rotation, mirrored: turn.mirrored)
  }

  /// The RGB of a self-test image.
  static func rgb(_ data: Data) throws -> [UInt8] {
    try read(data).data
  }

  /// Drawn into sRGB, on white where it is translucent; the system converts the colours.
  private static func pixels(_ image: CGImage) throws -> Picture {
    let (width, height) = (image.width, image.height)
    var drawn = [UInt8](repeating: 255, count: width * height * 4)
    let done = drawn.withUnsafeMutableBytes { bytes -> Bool in
      guard let space = CGColorSpace(name: CGColorSpace.sRGB),
        let context = CGContext(
          data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
          space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
      else { return false }
      context.interpolationQuality = .none
      context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
      return true
    }
    guard done else { throw Refused(String(localized: "damaged")) }
    var rgb = [UInt8](repeating: 0, count: width * height * 3)
    for i in 0..<width * height {
      for c in 0..<3 { rgb[3 * i + c] = drawn[4 * i + c] }
    }
    return try Picture(width: width, height: height, data: rgb)
  }
}
