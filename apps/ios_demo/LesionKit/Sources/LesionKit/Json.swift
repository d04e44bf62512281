import Foundation

/// A value of a JSON text as it stands there: keys in their order, whole numbers apart from others.
enum Json {
  case null
  case flag(Bool)
  case whole(Int)
  case number(Double)  // infinite: whole, and beyond what Int holds
  case text(String)
  case list([Json])
  case object([(key: String, value: Json)])

  static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]  // Windows editors put it in front

  /// Of a key of an object; nil where it is none, or lacks the key.
  subscript(key: String) -> Json? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  var entries: [Json] {
    guard case .list(let entries) = self else { return [] }
    return entries
  }

  var string: String? {
    guard case .text(let text) = self else { return nil }
    return text
  }

  /// The value of a text in UTF-8. Throws `Refused` where it is no JSON, has a key twice or is nested too deeply.
  static func read(_ data: Data) throws -> Json {
    var reader = JsonReader(data)
    return try reader.whole()
  }
}

private struct JsonReader {
  static let deepest = 64

  private let bytes: [UInt8]
  private var at = 0

  init(_ data: Data) {
    bytes = [UInt8](data)
    if bytes.starts(with: Json.mark) { at = Json.mark.count }
  }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func whole() throws -> Json {
    let value = try value(depth: 0)
    skip()
    guard next == nil else { throw wrong() }
    return value
  }

  private func wrong() -> Refused {
    Refused("the model's manifest cannot be read (byte \(at)); run dermedge bundle again")
  }

  private mutating func skip() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { at += 1 }
  }

  private mutating func takes(_ text: String) -> Bool {
    guard bytes[at...].starts(with: text.utf8) else { return false }
    at += text.utf8.count
    return true
  }

  private mutating func value(depth: Int) throws -> Json {
    guard depth <= JsonReader.deepest else { throw wrong() }
    skip()
    if takes("null") { return .null }
    if takes("true") { return .flag(true) }
    if takes("false") { return .flag(false) }
    if takes("[") { return try list(depth) }
    if takes("{") { return try object(depth) }
    return next == UInt8(ascii: "\"") ? .text(try text()) : try number()
  }

  private mutating func list(_ depth: Int) throws -> Json {
    var entries = [Json]()
    skip()
    if takes("]") { return .list(entries) }
    while true {
      entries.append(try value(depth: depth + 1))
      skip()
      if takes("]") { return .list(entries) }
      guard takes(",") else { throw wrong() }
    }
  }

  private mutating func object(_ depth: Int) throws -> Json {
    var members = [(key: String, value: Json)]()
    var keys = Set<[UInt8]>()  // by their bytes: to Swift, texts that look alike are equal
    skip()
    if takes("}") { return .object(members) }
    while true {
      skip()
      guard next == UInt8(ascii: "\"") else { throw wrong() }
      let key = try text()
      guard keys.insert(Array(key.utf8)).inserted else { throw wrong() }
      skip()
      guard takes(":") else { throw wrong() }
      members.append((key, try value(depth: depth + 1)))
      skip()
      if takes("}") { return .object(members) }
      guard takes(",") else { throw wrong() }
    }
  }

  private mutating func text() throws -> String {
    let start = at
    var isPlain = true
    at += 1
    while let byte = next, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw wrong() }
      let isEscape = byte == UInt8(ascii: "\\")
      isPlain = isPlain && !isEscape
      at += isEscape ? 2 : 1
    }
    guard next != nil else { throw wrong() }
    at += 1
    if isPlain, let text = String(bytes: bytes[start + 1..<at - 1], encoding: .utf8) { return text }
    let alone = Data([UInt8(ascii: "[")] + bytes[start..<at] + [UInt8(ascii: "]")])
    guard let text = try? JSONDecoder().decode([String].self, from: alone).first else { throw wrong() }
    return text
  }

  private mutating func digits() -> ArraySlice<UInt8> {
    let start = at
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
    return bytes[start..<at]
  }

  private mutating func number() throws -> Json {
    let start = at
    _ = takes("-")
    let whole = digits()
    guard let first = whole.first, whole.count == 1 || first != UInt8(ascii: "0") else { throw wrong() }
    var isWhole = true
    if takes(".") {
      isWhole = false
      guard !digits().isEmpty else { throw wrong() }
    }
    if takes("e") || takes("E") {
      isWhole = false
      if !takes("-") { _ = takes("+") }
      guard !digits().isEmpty else { throw wrong() }
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isWhole { return Int(text).map { .whole($0) } ?? .number(.infinity) }
    guard let number = Double(text), number.isFinite else { throw wrong() }
    return .number(number)
  }
}
