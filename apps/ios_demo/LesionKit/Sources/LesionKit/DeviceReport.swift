import Foundation

/// What this device answered in the self-test, as `dermedge parity --device-report` reads it (docs/device_reports.md).
/// Nothing is sent: the user shares it, or does not.
public struct DeviceReport {
  /// The device, as the report names it.
  public struct Device: Encodable {
    public let model: String
    public let system: String

    public init(model: String, system: String) {
      let longest = 200  // letters
      self.model = String((model.isEmpty ? "unknown" : model).prefix(longest))
      self.system = String((system.isEmpty ? "unknown" : system).prefix(longest))
    }
  }

  private struct Runtime: Encodable {
    let library = "coreml"
    let version: String
    let accelerator: String
  }

  private struct File: Encodable {
    let name: String
    let sha256: String
  }

  private struct Image: Encodable {
    let rgb_sha256: String
    let answers: [Double]?
    let probabilities: [Double]

    enum Keys: String, CodingKey {
      case rgb_sha256, answers, probabilities
    }

    func encode(to encoder: Encoder) throws {
      var values = encoder.container(keyedBy: Keys.self)
      try values.encode(rgb_sha256, forKey: .rgb_sha256)
      try values.encode(answers, forKey: .answers)  // null where nothing was answered
      try values.encode(probabilities, forKey: .probabilities)
    }
  }

  private struct Milliseconds: Encodable {
    let load: Double
    let first: Double
    let median: Double
    let p90: Double
    let runs: Int
  }

  private struct Body: Encodable {
    let schema = "dermedge/device-report/1"
    let device: Device
    let runtime: Runtime
    let file: File
    let images: [Image]
    let milliseconds: Milliseconds
    let memory_bytes: Int?

    enum Keys: String, CodingKey {
      case schema, device, runtime, file, images, milliseconds, memory_bytes
    }

    func encode(to encoder: Encoder) throws {
      var values = encoder.container(keyedBy: Keys.self)
      try values.encode(schema, forKey: .schema)
      try values.encode(device, forKey: .device)
      try values.encode(runtime, forKey: .runtime)
      try values.encode(file, forKey: .file)
      try values.encode(images, forKey: .images)
      try values.encode(milliseconds, forKey: .milliseconds)
      try values.encode(memory_bytes, forKey: .memory_bytes)
    }
  }

  private struct Sealed: Encodable {
    let body: String
    let sha256: String
  }

  /// The text of device-report.json. `system`: the version of iOS; `accelerator`: such as `cpu` or `all`;
  /// `load`: milliseconds; `memory`: bytes of the app, nil where the system does not say.
  /// Throws `Refused` where an answer is no finite number, which JSON cannot hold.
  public static func text(
    _ bundle: ModelBundle, _ result: SelfTestResult, device: Device, system: String, accelerator: String,
    load: Double, memory: Int?
  ) throws -> Data {
    let body = Body(
      device: device, runtime: Runtime(version: system, accelerator: accelerator),
      file: File(name: bundle.file.file, sha256: bundle.file.sha256),
      images: result.rows.map { Image(rgb_sha256: $0.pixels, answers: $0.answers, probabilities: $0.obtained) },
      milliseconds: Milliseconds(
        load: load, first: result.first, median: result.median, p90: result.p90, runs: result.times.count),
      memory_bytes: memory.flatMap { $0 > 0 ? $0 : nil })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do {
      let written = try encoder.encode(body)
      let text = String(decoding: written, as: UTF8.self)
      return try encoder.encode(Sealed(body: text, sha256: Sha256.hex([UInt8](written))))
    } catch is EncodingError {
      throw Refused("the model gave what is no number; there is nothing to report but that")
    }
  }
}
