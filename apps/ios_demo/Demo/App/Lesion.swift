import LesionKit
import SwiftUI

/// What the screens show: the model, the last picture, what was answered, and what follows from them.
@MainActor
final class Lesion: ObservableObject {
  struct Ranked: Identifiable {
    let label: Manifest.Label
    let probability: Double

    var id: String { label.code }
  }

  struct Effect: Identifiable {
    let id: String
    let question: String
    let answer: String
    let name: String
    let factor: Double
  }

  @Published private(set) var bundle: ModelBundle?
  @Published private(set) var predictor: CoreMLPredictor?
  @Published private(set) var examination = Examination() { didSet { picture = drawn() } }
  @Published private(set) var picture: CGImage?
  @Published private(set) var tested: SelfTestResult?
  @Published var answers: [String: Answer] = [:] { didSet { answer() } }
  @Published private(set) var message: String?  // of the model and the self-test

  private var taken = 0  // photographs

  /// Checks the bundled model and loads it; what is refused is said on the screen.
  func open(units: CoreMLPredictor.Units) async {
    do {
      guard let folder = Bundle.main.url(forResource: "Model", withExtension: nil) else {
        throw Refused(String(localized: "noModel"))
      }
      let version = ProcessInfo.processInfo.operatingSystemVersion
      let checked = try await Task.detached {
        try ModelBundle(folder: folder, system: (version.majorVersion, version.minorVersion))
      }.value
      predictor = try await CoreMLPredictor(checked, units: units)
      (bundle, tested, message) = (checked, nil, nil)
      answer()
    } catch {
      message = error.localizedDescription
    }
  }

  /// Answers for the photograph that `read` gives. The last one is forgotten at once, and what comes after a later one
  /// counts no more.
  func take(_ read: () async throws -> Picture?) async {
    taken += 1
    let own = taken
    examination.forget()
    message = nil
    do {
      guard let seen = try await read(), let bundle, let predictor, own == taken else { return }
      examination.take(seen, bundle, predictor, answers: answers)
    } catch {
      if own == taken { examination.forget(error.localizedDescription) }
    }
  }

  /// The check that a picture would fail, for the hint while the camera is open; nil where it can be used.
  func hint(_ seen: Picture) throws -> String? {
    guard let bundle, let decision = bundle.manifest.decision else { return nil }
    let square = try Preprocess.modelInput(seen, side: decision.side)
    return Decision.failed(try Measure.square(square, side: decision.side), decision.quality).first
  }

  private func answer() {
    guard let bundle, let predictor else { return }
    examination.answer(bundle, predictor, answers: answers)
  }

  /// The classes as they are shown, the likeliest first.
  var ranked: [Ranked] {
    guard let bundle, let shown = examination.shown else { return [] }
    return zip(bundle.manifest.labels, shown.probabilities).map { Ranked(label: $0, probability: $1) }
      .sorted { $0.probability > $1.probability }
  }

  /// What each answer did to the odds of the class that it changed most.
  var effects: [Effect] {
    guard let bundle, let shown = examination.shown else { return [] }
    return shown.effects.map {
      Effect(
        id: $0.question.id, question: words($0.question.text), answer: words($0.answer, of: $0.question),
        name: bundle.manifest.labels[$0.label].name, factor: $0.factor)
    }
  }

  /// The square as the model sees it, with the lesion in blue where it gives a mask.
  private func drawn() -> CGImage? {
    guard let manifest = bundle?.manifest, let shown = examination.shown else { return nil }
    let (side, square, mask) = (manifest.input.side, shown.square, shown.mask)
    var pixels = [UInt8](repeating: 255, count: side * side * 4)
    for i in 0..<side * side {
      for c in 0..<3 { pixels[4 * i + c] = square[3 * i + c] }
      if let mask, let stated = manifest.mask, mask.count == side * side, Double(mask[i]) >= stated.threshold {
        pixels[4 * i + 2] = 255
      }
    }
    guard let space = CGColorSpace(name: CGColorSpace.sRGB), let data = CGDataProvider(data: Data(pixels) as CFData)
    else { return nil }
    return CGImage(
      width: side, height: side, bitsPerComponent: 8, bitsPerPixel: 32, bytesPerRow: 4 * side, space: space,
      bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.noneSkipLast.rawValue), provider: data, decode: nil,
      shouldInterpolate: false, intent: .defaultIntent)
  }

  func runSelfTest() async {
    guard let bundle, let predictor else { return }
    do {
      tested = try await Task.detached {
        try SelfTestResult.run(bundle, predictor, system: Lesion.system, pixels: PhotoReader.rgb)
      }.value
      message = nil
    } catch {
      message = error.localizedDescription
    }
  }

  nonisolated static var system: String {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    return "\(version.majorVersion).\(version.minorVersion)"
  }

  /// device-report.json in a temporary folder, to be shared by the user.
  func report() throws -> URL {
    guard let bundle, let predictor, let tested else { throw Refused(String(localized: "noTest")) }
    let device = DeviceReport.Device(model: Device.model, system: "iOS \(Lesion.system)")
    let text = try DeviceReport.text(
      bundle, tested, device: device, system: Lesion.system, accelerator: predictor.units.rawValue,
      load: predictor.milliseconds, memory: Device.memory)
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("device-report.json")
    try text.write(to: place, options: .atomic)
    return place
  }
}

/// The words of a manifest in the language of the phone, else the first that there are.
func words(_ texts: [String: String]) -> String {
  let language = Locale.current.language.languageCode?.identifier ?? "en"
  return texts[language] ?? texts["en"] ?? texts.values.sorted().first ?? ""
}

/// The word for a unit of the manifest, which has one for all languages; others are shown as they stand there.
func words(ofUnit unit: String) -> String {
  switch unit {
  case "years": return String(localized: "unit_years")
  case "months": return String(localized: "unit_months")
  case "weeks": return String(localized: "unit_weeks")
  case "days": return String(localized: "unit_days")
  default: return unit
  }
}

func words(_ answer: Answer, of question: Question) -> String {
  switch answer {
  case .yesNo(let yes): return String(localized: yes ? "yes" : "no")
  case .choice(let id): return words(question.choices.first { $0.id == id }?.text ?? [:])
  case .number(let number): return number.formatted()
  }
}
