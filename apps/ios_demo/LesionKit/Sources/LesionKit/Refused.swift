import Foundation

/// What the contract refuses. The message is for the person who uses the app.
public struct Refused: Error, LocalizedError, Equatable {
  public let message: String

  public init(_ message: String) {
    self.message = message
  }

  public var errorDescription: String? { message }
}

/// `value` if it lies from `low` to `high`; otherwise `Refused`, which calls it `name`.
@discardableResult
func whole(_ value: Int, _ low: Int, _ high: Int, _ name: String) throws -> Int {
  guard value >= low && value <= high else {
    throw Refused("\(name) is a whole number from \(low) to \(high), got \(value)")
  }
  return value
}
