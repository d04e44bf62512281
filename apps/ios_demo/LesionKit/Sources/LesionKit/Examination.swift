import Foundation

/// The last photograph and what the model says of it. Where a photograph or an answer is refused, nothing of an earlier
/// one stays to be taken for its result.
public struct Examination {
  /// What one answer did to the odds of the class that it changed most.
  public struct Effect {
    public let question: Question
    public let answer: Answer
    public let label: Int  // place of the class in the manifest
    public let factor: Double
  }

  public struct Shown {
    public let square: [UInt8]  // as the model sees it, side x side x 3
    public let outcome: Outcome
    public let probabilities: [Double]  // in the order of the manifest's labels; none of a picture to be taken again
    public let mask: [Float]?
    public let effects: [Effect]
  }

  public private(set) var shown: Shown?
  public private(set) var message: String?  // why nothing is shown
  private var square: [UInt8]?

  public init() {}

  /// Nothing is shown, until the next photograph; `message` says why.
  public mutating func forget(_ message: String? = nil) {
    (square, shown, self.message) = (nil, nil, message)
  }

  /// Answers for a photograph in place of the last one.
  public mutating func take(
    _ seen: Picture, _ bundle: ModelBundle, _ predictor: Predictor, answers: [String: Answer]
  ) {
    forget()
    do {
      square = try Preprocess.modelInput(seen, side: bundle.manifest.input.side)
      answer(bundle, predictor, answers: answers)
    } catch {
      message = error.localizedDescription
    }
  }

  /// Answers again for the last photograph, if there is one.
  public mutating func answer(_ bundle: ModelBundle, _ predictor: Predictor, answers: [String: Answer]) {
    guard let square else { return }
    (shown, message) = (nil, nil)
    do {
      shown = try Examination.said(square, bundle, predictor, answers: answers)
    } catch {
      message = error.localizedDescription
    }
  }

  private static func said(
    _ square: [UInt8], _ bundle: ModelBundle, _ predictor: Predictor, answers: [String: Answer]
  ) throws -> Shown {
    let manifest = bundle.manifest
    let (side, codes) = (manifest.input.side, manifest.codes)
    let told = try predictor.run(square, answers: Answers.encode(answers, bundle.questions))
    try Decision.checkProbabilities(told.probabilities, classes: codes.count)
    let force = manifest.decision?.inForce(answered: answers.count)
    let probabilities = force?.thresholds.tempered(told.probabilities) ?? told.probabilities
    var outcome = Outcome.class(codes[highest(probabilities)])
    if let force {
      try force.check(side: side, probabilities: probabilities, codes: codes)
      outcome = force.decide(
        try Measure.square(square, side: side), probabilities: probabilities, codes: codes)
    }
    if case .retake = outcome {  // nothing is said of such a picture
      return Shown(square: square, outcome: outcome, probabilities: [], mask: nil, effects: [])
    }
    return Shown(
      square: square, outcome: outcome, probabilities: probabilities, mask: told.mask,
      effects: try effects(bundle, answers))
  }

  private static func effects(_ bundle: ModelBundle, _ answers: [String: Answer]) throws -> [Effect] {
    guard let rows = bundle.manifest.log_odds else { return [] }
    return try bundle.questions.compactMap { question in
      guard let answer = answers[question.id] else { return nil }
      let odds = try Answers.odds(question.id, answer, bundle.questions, logOdds: rows)
      let most = highest(odds.map { abs(log($0)) })
      return Effect(question: question, answer: answer, label: most, factor: odds[most])
    }
  }
}
