import Foundation

/// The folder that `dermedge bundle --app ios` wrote, checked: the manifest, and its Core ML package.
public struct ModelBundle {
  public static let format = "mlpackage"
  static let maxImageBytes = 64 << 20
  static let leftBehind: Set = [".DS_Store", "Thumbs.db", "desktop.ini"]  // by file managers

  public let folder: URL
  public let manifest: Manifest
  public let file: Manifest.File

  /// Throws `Refused` for a folder without a manifest, with another schema or preprocessing, with a package that is
  /// missing or not the manifest's, or with one that this system is too old for. `system`: such as (17, 4).
  public init(folder: URL, system: (major: Int, minor: Int)) throws {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("manifest.json")) else {
      throw Refused("the app has no model; run dermedge bundle --app ios and build it again")
    }
    let manifest = try Manifest.read(data)
    guard let file = manifest.files.first(where: { $0.format == ModelBundle.format }) else {
      throw Refused("the bundle holds no .mlpackage, which this app runs; run dermedge bundle --app ios")
    }
    (self.folder, self.manifest, self.file) = (folder, manifest, file)
    try ModelBundle.checkOpens(file, system: system)
    guard try ModelBundle.hash(of: folder.appendingPathComponent(file.file)) == file.sha256 else {
      throw Refused("\(file.file) is not the file of the manifest; run dermedge bundle again")
    }
  }

  public var package: URL { folder.appendingPathComponent(file.file) }
  public var questions: [Question] { file.answers ? manifest.questions : [] }

  /// The self-test images that say what this file must answer.
  public var tests: [Manifest.SelfTest] {
    manifest.self_test.filter { $0.expected[file.file] != nil }
  }

  /// The bytes of a self-test image; `Refused` unless they are the manifest's.
  public func image(_ test: Manifest.SelfTest) throws -> Data {
    let place = folder.appendingPathComponent(test.image)
    guard let data = try? Data(contentsOf: place), data.count <= ModelBundle.maxImageBytes else {
      throw Refused("the bundle has no \(test.image); run dermedge bundle again")
    }
    guard Sha256.hex([UInt8](data)) == test.sha256 else {
      throw Refused("\(test.image) is not the image of the manifest; run dermedge bundle again")
    }
    return data
  }

  /// The first number of a manifest's `iOS 16, …`, held against the system's.
  static func checkOpens(_ file: Manifest.File, system: (major: Int, minor: Int)) throws {
    let digits = file.opens_from.hasPrefix("iOS ") ? file.opens_from.dropFirst(4).prefix { $0.isNumber } : ""
    guard let needed = Int(digits) else {
      throw Refused("\(file.file) opens from \(file.opens_from.prefix(60)), which is no version of iOS")
    }
    guard needed <= system.major else {
      throw Refused(
        "\(file.file) opens from iOS \(needed) on, and this is iOS \(system.major); take another file of the model")
    }
  }

  /// SHA-256 of a package as dermedge counts it: of the names and digests of its files, in the order of their names.
  static func hash(of package: URL) throws -> String {
    let root = package.resolvingSymlinksInPath().path
    guard let walk = FileManager.default.enumerator(atPath: root) else {
      throw Refused("the bundle has no \(package.lastPathComponent); run dermedge bundle again")
    }
    let names = walk.compactMap { $0 as? String }.filter { name in
      if leftBehind.contains((name as NSString).lastPathComponent) { return false }
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: "\(root)/\(name)", isDirectory: &isFolder) && !isFolder.boolValue
    }
    guard !names.isEmpty else {
      throw Refused("the bundle has no \(package.lastPathComponent); run dermedge bundle again")
    }
    var message = [UInt8]()
    for name in names.sorted(by: inOrder) {
      let content = try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)"))
      message += Array(name.utf8) + [0] + Sha256.digest([UInt8](content))
    }
    return Sha256.hex(message)
  }

  /// The order of Python's paths: part by part.
  private static func inOrder(_ a: String, _ b: String) -> Bool {
    let parts = { (name: String) in name.split(separator: "/").map { Array($0.unicodeScalars.map { $0.value }) } }
    return parts(a).lexicographicallyPrecedes(parts(b)) { $0.lexicographicallyPrecedes($1) }
  }
}
