import LesionKit
import SwiftUI

/// Does this phone compute what the model's maker saw?
struct SelfTestView: View {
  @EnvironmentObject private var lesion: Lesion
  @State private var units = CoreMLPredictor.Units.cpu
  @State private var running = false
  @State private var report: URL?

  var body: some View {
    VStack(spacing: 0) {
      Notice()
      Form {
        Section("test") {
          Text("testPurpose").font(.footnote)
          Picker("units", selection: $units) { ForEach(CoreMLPredictor.Units.allCases) { Text($0.rawValue).tag($0) } }
            .onChange(of: units) { chosen in Task { await lesion.open(units: chosen) } }
          Button("run") {
            Task {
              running = true
              await lesion.runSelfTest()
              report = try? lesion.report()
              running = false
            }
          }
          .disabled(running || lesion.predictor == nil)
          if let report, lesion.tested != nil { ShareLink("save", item: report) }
          if let message = lesion.message { Text(message).foregroundColor(.red) }
        }
        if let tested = lesion.tested { TestedView(tested: tested, load: lesion.predictor?.milliseconds ?? 0) }
      }
    }
  }
}

struct TestedView: View {
  let tested: SelfTestResult
  let load: Double

  var body: some View {
    Section("result") {
      let difference = tested.difference.formatted(.number.notation(.scientific).precision(.fractionLength(1)))
      if tested.failed.isEmpty {
        Text("passed \(difference)").font(.headline)
      } else {
        Text("failed \(tested.failed.joined(separator: ", "))").font(.headline)
      }
      Text("times \(number(tested.median)) \(number(tested.p90)) \(number(tested.first)) \(number(load))")
      if let memory = Device.memory { Text("memory \(Int64(memory).formatted(.byteCount(style: .memory)))") }
      Text(tested.seenRight ? "seen" : "unseen")
      ForEach(tested.rows.indices, id: \.self) { place in
        let row = tested.rows[place]
        VStack(alignment: .leading) {
          Text(row.image).font(.subheadline)
          Text("expected \(list(row.expected))").font(.footnote.monospacedDigit())
          Text("obtained \(list(row.obtained))").font(.footnote.monospacedDigit())
        }
      }
    }
  }

  private func number(_ milliseconds: Double) -> String {
    milliseconds.formatted(.number.precision(.fractionLength(1)))
  }

  private func list(_ numbers: [Double]) -> String {
    numbers.map { $0.formatted(.number.precision(.fractionLength(4))) }.joined(separator: " ")
  }
}
