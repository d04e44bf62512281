import LesionKit
import PhotosUI
import SwiftUI

/// Always on the screen.
struct Notice: View {
  var body: some View {
    Text("notice").font(.headline).frame(maxWidth: .infinity).padding(6).background(Color.yellow.opacity(0.25))
  }
}

struct MainView: View {
  @EnvironmentObject private var lesion: Lesion
  @State private var chosen: PhotosPickerItem?
  @State private var camera = false
  @State private var test = false

  var body: some View {
    VStack(spacing: 0) {
      Notice()
      Form {
        if let message = lesion.message ?? lesion.examination.message { Text(message).foregroundColor(.red) }
        Section("picture") {
          Text("local").font(.footnote)
          PhotosPicker("choose", selection: $chosen, matching: .images)
          Button("camera") { camera = true }
          if let picture = lesion.picture {
            Image(decorative: picture, scale: 1).resizable().scaledToFit().frame(maxWidth: 320)
              .accessibilityElement().accessibilityLabel(Text("square"))
          }
        }
        .disabled(lesion.predictor == nil)
        if let bundle = lesion.bundle, !bundle.questions.isEmpty {
          Section("questions") {
            ForEach(bundle.questions, id: \.id) { QuestionView(question: $0) }
          }
        }
        if let shown = lesion.examination.shown {
          ResultView(outcome: shown.outcome, ranked: lesion.ranked, effects: lesion.effects)
        }
        Section { Button("test") { test = true }.disabled(lesion.predictor == nil) }
      }
    }
    .sheet(isPresented: $camera) { CameraView() }
    .sheet(isPresented: $test) { SelfTestView() }
    .onChange(of: chosen) { item in
      Task {
        await lesion.take {
          guard let data = try await item?.loadTransferable(type: Data.self) else { return nil }
          return try await Task.detached { try PhotoReader.read(data) }.value
        }
      }
    }
  }
}

/// The outcome first, then all classes with their calibrated probabilities; never a bare diagnosis.
struct ResultView: View {
  let outcome: Outcome
  let ranked: [Lesion.Ranked]
  let effects: [Lesion.Effect]

  var body: some View {
    Section("result") {
      Text(sentence).font(.headline)
      if !isRetake {
        ForEach(ranked) { entry in
          VStack(alignment: .leading) {
            HStack {
              Text(entry.label.name)
              Spacer()
              Text(entry.probability.formatted(.percent.precision(.fractionLength(1))))
            }
            ProgressView(value: min(max(entry.probability, 0), 1))
          }
          .accessibilityElement(children: .combine)
        }
        ForEach(effects) { effect in
          let factor = effect.factor.formatted(.number.precision(.fractionLength(2)))
          Text("effect \(effect.question) \(effect.answer) \(effect.name) \(factor)").font(.footnote)
        }
        Text("meaning").font(.footnote)
      }
    }
  }

  private var isRetake: Bool {
    if case .retake = outcome { return true }
    return false
  }

  private var sentence: String {
    switch outcome {
    case .retake(let failed):
      let reason = failed.first.map { String(localized: String.LocalizationValue($0)) } ?? ""
      return String(localized: "retake \(reason)")
    case .uncertain: return String(localized: "uncertain")
    case .class(let code):
      let entry = ranked.first { $0.label.code == code }
      let share = (entry?.probability ?? 0).formatted(.percent.precision(.fractionLength(1)))
      return String(localized: "class \(entry?.label.name ?? code) \(share)")
    }
  }
}

/// One question, which may be left out.
struct QuestionView: View {
  @EnvironmentObject private var lesion: Lesion
  let question: Question
  @State private var typed = ""

  var body: some View {
    switch question.kind {
    case .number:
      let unit = question.unit.map { " (\(words(ofUnit: $0)))" } ?? ""
      // the pad has no minus
      let keyboard = (question.min ?? 0) < 0 ? UIKeyboardType.numbersAndPunctuation : .decimalPad
      LabeledContent(words(question.text) + unit) {
        TextField("skipped", text: $typed).keyboardType(keyboard).multilineTextAlignment(.trailing)
          .onChange(of: typed) { text in
            let number = try? Double(text, format: .number)
            let answer = number.map { Answer.number($0) }
            lesion.answers[question.id] = answer.flatMap { question.takes($0) ? $0 : nil }
          }
      }
    case .yes_no, .choice:
      Picker(words(question.text), selection: $lesion.answers[question.id]) {
        Text("skipped").tag(Answer?.none)
        ForEach(options) { Text($0.name).tag(Answer?.some($0.answer)) }
      }
    }
  }

  private struct Option: Identifiable {
    let id: String
    let name: String
    let answer: Answer
  }

  private var options: [Option] {
    if question.kind == .yes_no {
      return [true, false].map {
        Option(id: "\($0)", name: words(.yesNo($0), of: question), answer: .yesNo($0))
      }
    }
    return question.choices.map { Option(id: $0.id, name: words($0.text), answer: .choice($0.id)) }
  }
}
