/// What an EXIF block says of the colours (EXIF 2.32, DCF 2.0). Damaged parts count as not there.
struct ExifColour {
  private static let mostTags = 1000

  private let bytes: [UInt8]
  private let little: Bool
  private(set) var space: Int?  // tag 0xA001
  private(set) var index = ""  // of interoperability: R98, R03
  private(set) var hasPrimaries = false

  init(_ block: ArraySlice<UInt8>) {
    bytes = Array(block)
    little = bytes.starts(with: [0x49, 0x49])
    guard bytes.count > 8, little || bytes.starts(with: [0x4d, 0x4d]), number(2, 2) == 42 else { return }
    let root = tags(number(4, 4))
    hasPrimaries = root[0x013e] != nil && root[0x013f] != nil
    guard let place = root[0x8769] else { return }
    let photo = tags(number(place + 8, 4))
    if let at = photo[0xa001] { space = number(at + 8, 2) }
    guard let at = photo[0xa005], let name = tags(number(at + 8, 4))[0x0001], name + 11 <= bytes.count else { return }
    index = String(decoding: bytes[name + 8..<name + 11], as: UTF8.self)
  }

  /// Whether it states another space than sRGB.
  var isOther: Bool {
    let unknown = index != "R98" && (index == "R03" || hasPrimaries)
    return space != 1 && (space == 2 || space == 65533 || unknown)
  }

  /// A number of the block, 0 where it ends before; `at`: byte.
  private func number(_ at: Int, _ count: Int) -> Int {
    guard at >= 0, at + count <= bytes.count else { return 0 }
    let part = bytes[at..<at + count]
    return (little ? Array(part.reversed()) : Array(part)).reduce(0) { $0 << 8 | Int($1) }
  }

  /// The tags of a directory, each with the byte where its entry of 12 bytes begins.
  private func tags(_ start: Int) -> [Int: Int] {
    guard start >= 8, start + 2 <= bytes.count else { return [:] }
    let count = min(number(start, 2), ExifColour.mostTags)
    let entries = (0..<count).map { start + 2 + 12 * $0 }.filter { $0 + 12 <= bytes.count }
    return Dictionary(entries.map { (number($0, 2), $0) }) { first, _ in first }
  }
}
