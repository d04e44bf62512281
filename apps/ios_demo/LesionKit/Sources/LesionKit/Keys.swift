extension KeyedDecodingContainer {
  /// The value of a key that may be left out, but not be null. Throws `DecodingError`.
  func stated<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
    contains(key) ? try decode(type, forKey: key) : nil
  }
}
