// Signatures of Apple's Core ML, as its documentation states them, so that the predictor can be type-checked on Linux.
// Nothing here computes. It proves consistency with these signatures alone.
@_exported import CoreVideo
import Foundation

public enum MLComputeUnits: Int { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }
public enum MLMultiArrayDataType: Int { case float32, double, int32, float16 }

open class MLModelConfiguration {
  public init() {}
  open var computeUnits: MLComputeUnits = .all
}

open class MLMultiArray {
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}
  open var count: Int { 0 }
  open subscript(index: Int) -> NSNumber {
    get { 0 }
    set {}
  }
}

open class MLFeatureValue {
  public convenience init(pixelBuffer: CVPixelBuffer) { self.init() }
  public convenience init(multiArray: MLMultiArray) { self.init() }
  open var dictionaryValue: [AnyHashable: NSNumber] { [:] }
  open var multiArrayValue: MLMultiArray? { nil }
}

public protocol MLFeatureProvider {
  func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: MLFeatureProvider {
  public init(dictionary: [String: Any]) throws {}
  public func featureValue(for featureName: String) -> MLFeatureValue? { nil }
}

open class MLModel {
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
  open class func compileModel(at url: URL) async throws -> URL { url }
  open func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
}
