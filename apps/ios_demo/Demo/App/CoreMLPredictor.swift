import CoreML
import CoreVideo
import Foundation
import LesionKit

/// The bundle's package in Core ML. A new model needs no new code: names and sizes are the manifest's.
final class CoreMLPredictor: Predictor {
  /// What Core ML may compute on; the name stands in the device report.
  enum Units: String, CaseIterable, Identifiable {
    case cpu
    case gpu = "cpu-gpu"
    case neuralEngine = "cpu-ane"
    case all

    var id: String { rawValue }

    var computeUnits: MLComputeUnits {
      switch self {
      case .cpu: return .cpuOnly
      case .gpu: return .cpuAndGPU
      case .neuralEngine: return .cpuAndNeuralEngine
      case .all: return .all
      }
    }
  }

  let units: Units
  let milliseconds: Double  // that compiling and loading took
  private let model: MLModel
  private let bundle: ModelBundle

  /// Compiles the package, which was checked before, once for each of its hashes, and loads it.
  init(_ bundle: ModelBundle, units: Units) async throws {
    let begun = DispatchTime.now().uptimeNanoseconds
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units.computeUnits
    let compiled = try await CoreMLPredictor.compiled(bundle)
    model = try MLModel(contentsOf: compiled, configuration: configuration)
    milliseconds = Double(DispatchTime.now().uptimeNanoseconds - begun) / 1e6
    (self.bundle, self.units) = (bundle, units)
  }

  private static func compiled(_ bundle: ModelBundle) async throws -> URL {
    let files = FileManager.default
    let caches = try files.url(for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
    let kept = caches.appendingPathComponent("\(bundle.file.sha256).mlmodelc")
    if files.fileExists(atPath: kept.path) { return kept }
    let new = try await MLModel.compileModel(at: bundle.package)
    try files.moveItem(at: new, to: kept)
    return kept
  }

  func run(_ square: [UInt8], answers: [Float]) throws -> Prediction {
    let side = bundle.manifest.input.side
    var inputs = ["image": MLFeatureValue(pixelBuffer: try CoreMLPredictor.buffer(square, side: side))]
    if bundle.file.answers {
      let array = try MLMultiArray(shape: [1, NSNumber(value: answers.count)], dataType: .float32)
      for (place, number) in answers.enumerated() { array[place] = NSNumber(value: number) }
      inputs["answers"] = MLFeatureValue(multiArray: array)
    }
    let output = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))
    let named = output.featureValue(for: "probabilities")?.dictionaryValue ?? [:]
    let probabilities = try bundle.manifest.codes.map { code in
      guard let number = named[AnyHashable(code)] else { throw Refused("the model says nothing of the class \(code)") }
      return number.doubleValue
    }
    let mask = output.featureValue(for: "mask")?.multiArrayValue.map { array in
      (0..<array.count).map { array[$0].floatValue }
    }
    return Prediction(probabilities: probabilities, mask: mask)
  }

  /// The square as Core ML takes an image: blue, green, red, alpha, with its own row stride.
  private static func buffer(_ square: [UInt8], side: Int) throws -> CVPixelBuffer {
    var made: CVPixelBuffer?
    CVPixelBufferCreate(nil, side, side, kCVPixelFormatType_32BGRA, nil, &made)
    guard let buffer = made else { throw Refused("there is no memory for the picture") }
    CVPixelBufferLockBaseAddress(buffer, [])
    defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
    guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw Refused("there is no memory for the picture") }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    for y in 0..<side {
      let row = base.advanced(by: y * stride).assumingMemoryBound(to: UInt8.self)
      for x in 0..<side {
        let from = 3 * (y * side + x)
        row[4 * x] = square[from + 2]
        row[4 * x + 1] = square[from + 1]
        row[4 * x + 2] = square[from]
        row[4 * x + 3] = 255
      }
    }
    return buffer
  }
}
