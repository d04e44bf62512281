/// Upright sRGB pixels, rows from the top without gaps: `channels` bytes for each, red, green, blue and, of four, one
/// that is left out.
public struct Picture {
  public static let maxLength = 20_000  // pixels along a side
  public static let maxPixels = 50_000_000

  public let width: Int
  public let height: Int
  public let channels: Int
  public let data: [UInt8]

  /// Throws `Refused` for a size that docs/preprocess.md refuses, and for bytes that are no pixels of it.
  public init(width: Int, height: Int, channels: Int = 3, data: [UInt8]) throws {
    try Picture.checkSize(width, height)
    guard (3...4).contains(channels), data.count == width * height * channels else {
      throw Refused("a picture of \(width) x \(height) pixels has 3 or 4 bytes for each")
    }
    (self.width, self.height, self.channels, self.data) = (width, height, channels, data)
  }

  public static func checkSize(_ width: Int, _ height: Int) throws {
    try whole(width, 1, maxLength, "the width of a picture")
    try whole(height, 1, maxLength, "the height of a picture")
    guard width * height <= maxPixels else {
      throw Refused("a picture has at most \(maxPixels) pixels, this one has \(width) x \(height)")
    }
  }
}
