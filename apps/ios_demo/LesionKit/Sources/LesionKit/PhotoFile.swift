/// What can be known of a photograph before the system decodes it. What its decoder is known, or not known, to read as
/// dermedge does is refused by name here, rather than answered wrongly (docs/preprocess.md, *Files* and *Colour*).
public enum PhotoFile {
  public static let maxBytes = 100 << 20
  private static let pngMark: [UInt8] = [137, 80, 78, 71, 13, 10, 26, 10]
  /// Chunks by which a PNG states a colour, an orientation or an animation that decoders take differently.
  private static let stated: Set = ["cICP", "gAMA", "cHRM", "iCCP", "sRGB", "eXIf", "acTL", "tRNS"]

  /// Throws `Refused` unless the file is a JPEG of one or three components, a plain PNG of up to 8 bits, or HEIC.
  public static func check(_ bytes: [UInt8]) throws {
    guard bytes.count <= maxBytes else { throw Refused("this file is larger than 100 MB") }
    if bytes.starts(with: [0xff, 0xd8]) {
      try checkJpeg(bytes)
    } else if bytes.starts(with: pngMark), bytes.count > 33 {
      try checkPng(bytes)
    } else if bytes.count > 12, name(bytes, 4) == "ftyp" {
      guard ["heic", "heix", "mif1", "MiHE"].contains(name(bytes, 8)) else {
        throw Refused("this app reads no \(name(bytes, 8)) files; save it as JPEG")
      }
    } else {
      throw Refused("this is neither a JPEG nor a PNG nor HEIC; save it as JPEG")
    }
  }

  private static func name(_ bytes: [UInt8], _ at: Int) -> String {
    String(decoding: bytes[at..<at + 4], as: UTF8.self)
  }

  private static func big(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
    bytes[at..<at + count].reduce(0) { $0 << 8 | Int($1) }
  }

  private static func checkPng(_ bytes: [UInt8]) throws {
    try Picture.checkSize(big(bytes, 16, 4), big(bytes, 20, 4))
    guard bytes[24] <= 8 else {
      throw Refused("this PNG has \(bytes[24]) bits per colour; save it with 8, or as JPEG")
    }
    var at = 8
    while at + 12 <= bytes.count {
      let chunk = name(bytes, at + 4)
      if stated.contains(chunk) {
        throw Refused("this PNG has a part \(chunk), which systems read differently; save it as JPEG")
      }
      at += 12 + big(bytes, at, 4)
    }
    guard [0, 2, 3].contains(bytes[25]) else {
      throw Refused("this picture is transparent in places; save it as JPEG")
    }
  }

  private static func checkJpeg(_ bytes: [UInt8]) throws {
    var (at, hasProfile, exif) = (2, false, ArraySlice<UInt8>())
    while at + 9 < bytes.count, bytes[at] == 0xff {
      let marker = bytes[at + 1]
      if marker == 0xff {
        at += 1
        continue
      }
      if marker == 0xda { break }
      let length = big(bytes, at + 2, 2)
      let end = min(at + 2 + length, bytes.count)
      guard length >= 2 else { break }
      if (0xc0...0xcf).contains(marker), ![0xc4, 0xc8, 0xcc].contains(marker) {
        try Picture.checkSize(big(bytes, at + 7, 2), big(bytes, at + 5, 2))
        guard bytes[at + 9] == 1 || bytes[at + 9] == 3 else {
          throw Refused("this JPEG is made for print (CMYK); save it as an ordinary one")
        }
        if !hasProfile, ExifColour(exif).isOther {
          throw Refused("this photograph states a colour space in its EXIF data; save it in sRGB")
        }
        return
      }
      let content = bytes[at + 4..<max(end, at + 4)]
      if marker == 0xe2, content.starts(with: Array("ICC_PROFILE\0".utf8)) { hasProfile = true }
      if marker == 0xe1, content.starts(with: Array("Exif\0\0".utf8)), exif.isEmpty { exif = content.dropFirst(6) }
      at = end
    }
    throw Refused("this JPEG is damaged")
  }

  /// The turn that makes a photograph upright, of its EXIF orientation: clockwise degrees, then whether left and right
  /// are exchanged. Unknown orientations count as 1.
  public static func turn(orientation: Int) -> (rotation: Int, mirrored: Bool) {
    switch orientation {
    case 2: return (0, true)
    case 3: return (180, false)
    case 4: return (180, true)
    case 5: return (90, true)
    case 6: return (90, false)
    case 7: return (270, true)
    case 8: return (270, false)
    default: return (0, false)
    }
  }
}
