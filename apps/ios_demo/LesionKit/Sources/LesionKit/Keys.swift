import Foundation

/// A key as it stands in a JSON object, whether it is known or not.
struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension KeyedDecodingContainer {
  /// The value of a key that may be left out, but not be null. Throws `DecodingError`.
  func stated<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
    contains(key) ? try decode(type, forKey: key) : nil
  }
}

extension Decoder {
  /// Throws `Refused` for keys that are not among `known`: another one may mean what this app would not do.
  func onlyKeys(_ known: Set<String>) throws {
    let keys = try container(keyedBy: AnyKey.self).allKeys.map { $0.stringValue }
    if let unknown = keys.first(where: { !known.contains($0) }) {
      let part = codingPath.last?.stringValue ?? "the whole"
      throw Refused("\(part) of the model's manifest has \(unknown.prefix(60)), which nobody knows; bundle it again")
    }
  }
}
