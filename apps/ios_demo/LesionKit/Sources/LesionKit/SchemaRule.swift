import Foundation

/// What a rule of JSON Schema (draft 2020-12) says of a value, for the keywords that apps/write_schema.py lets through.
struct SchemaRule {
  static let exact = 1 << 53  // whole numbers up to here are exact in every language that reads a manifest

  private let root: Json
  private let named: Json

  init(_ schema: String) throws {
    root = try Json.read(Data(schema.utf8))
    named = root["defs"] ?? .object([])
  }

  /// The place of the first part that does not fit, such as labels/0/code; nil if all fits.
  func misfit(_ value: Json) -> String? {
    misfit(value, root, []).map { $0.isEmpty ? "the whole file" : $0.joined(separator: "/") }
  }

  private func misfit(_ value: Json, _ stated: Json, _ place: [String]) -> [String]? {
    let rule = stated["ref"]?.string.flatMap { named[$0] } ?? stated
    if !SchemaRule.fits(value, rule) { return place }
    switch value {
    case .list(let entries):
      guard let items = rule["items"] else { return nil }
      for (i, entry) in entries.enumerated() {
        if let wrong = misfit(entry, items, place + ["\(i)"]) { return wrong }
      }
    case .object(let members):
      for key in (rule["required"]?.entries ?? []).compactMap({ $0.string }) where value[key] == nil {
        return place + [key]
      }
      for (key, part) in members {
        guard let inner = rule["properties"]?[key] ?? rule["additionalProperties"] else { continue }
        if case .flag(false) = inner { return place + [key] }
        if let wrong = misfit(part, inner, place + [key]) { return wrong }
      }
    default: break
    }
    return nil
  }

  /// Whether the value itself is right, whatever its parts are.
  private static func fits(_ value: Json, _ rule: Json) -> Bool {
    if let type = rule["type"] {
      let names = type.string.map { [$0] } ?? type.entries.compactMap { $0.string }
      guard names.contains(where: { isOfType(value, $0) }) else { return false }
    }
    if let wanted = rule["const"], !equal(value, wanted) { return false }
    if let wanted = rule["enum"], !wanted.entries.contains(where: { equal(value, $0) }) { return false }
    switch value {
    case .text(let text):
      return (rule["pattern"]?.string).map { matches(text, $0) } ?? true
        && within(text.unicodeScalars.count, rule, nil, "maxLength")
    case .list(let entries): return within(entries.count, rule, "minItems", "maxItems")
    case .object(let members): return within(members.count, rule, "minProperties", "maxProperties")
    case .whole, .number:
      let number = double(value) ?? .nan
      func keeps(_ key: String, _ good: (Double, Double) -> Bool) -> Bool {
        rule[key].flatMap(double).map { good(number, $0) } ?? true
      }
      return keeps("minimum", >=) && keeps("maximum", <=) && keeps("exclusiveMinimum", >)
        && keeps("exclusiveMaximum", <)
    default: return true
    }
  }

  private static func isOfType(_ value: Json, _ name: String) -> Bool {
    switch (value, name) {
    case (.null, "null"), (.flag, "boolean"), (.text, "string"), (.list, "array"), (.object, "object"): return true
    case (.whole(let number), "integer"), (.whole(let number), "number"): return (-exact...exact).contains(number)
    case (.number(let number), "number"): return number.isFinite
    default: return false
    }
  }

  private static func double(_ value: Json) -> Double? {
    switch value {
    case .whole(let number): return Double(number)
    case .number(let number): return number
    default: return nil
    }
  }

  /// Of texts, numbers and lists of them, which is all that the schema compares.
  private static func equal(_ a: Json, _ b: Json) -> Bool {
    if case .list(let left) = a, case .list(let right) = b {
      return left.count == right.count && zip(left, right).allSatisfy { equal($0, $1) }
    }
    if let left = a.string, let right = b.string { return left.utf8.elementsEqual(right.utf8) }
    if let left = double(a), let right = double(b) { return left == right }
    return false
  }

  private static func within(_ count: Int, _ rule: Json, _ least: String?, _ most: String) -> Bool {
    let low = least.flatMap { rule[$0] }.flatMap(double) ?? 0
    return Double(count) >= low && Double(count) <= rule[most].flatMap(double) ?? .infinity
  }

  private static func matches(_ text: String, _ pattern: String) -> Bool {
    text.range(of: "\\A(?:\(pattern))\\z", options: .regularExpression) != nil
  }
}
