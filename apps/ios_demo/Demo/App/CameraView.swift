import AVFoundation
import LesionKit
import SwiftUI

/// The open camera with a hint of what would be sent back.
struct CameraView: View {
  @EnvironmentObject private var lesion: Lesion
  @Environment(\.dismiss) private var dismiss
  @State private var frames = CameraFrames()
  @State private var last: Picture?
  @State private var hint = ""
  @State private var light = false
  @State private var refused: String?

  var body: some View {
    VStack(spacing: 16) {
      Notice()
      if let refused {
        Text(refused).padding()
      } else {
        CameraPreview(session: frames.session).aspectRatio(1, contentMode: .fit).accessibilityLabel(Text("preview"))
        Text(hint).accessibilityAddTraits(.updatesFrequently)
        Toggle("torch", isOn: $light).onChange(of: light) { on in frames.light(on) }
        Button("take") {
          if let last { Task { await lesion.take { last } } }
          dismiss()
        }
        .buttonStyle(.borderedProminent).disabled(last == nil)
      }
      Button("cancel", role: .cancel) { dismiss() }
    }
    .padding()
    .task {
      do {
        try await frames.start { result in Task { @MainActor in show(result) } }
      } catch {
        refused = error.localizedDescription
      }
    }
    .onDisappear { frames.stop() }
  }

  @MainActor
  private func show(_ result: Result<Picture, Error>) {
    do {
      let seen = try result.get()
      last = seen
      let failed = try lesion.hint(seen)
      hint = failed.map { String(localized: String.LocalizationValue($0)) } ?? String(localized: "good")
    } catch {
      hint = error.localizedDescription
    }
  }
}

/// What the camera sees, cut to the square in the middle as the model's picture is.
struct CameraPreview: UIViewRepresentable {
  let session: AVCaptureSession

  final class Layered: UIView {
    override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
  }

  func makeUIView(context: Context) -> Layered {
    let view = Layered()
    if let layer = view.layer as? AVCaptureVideoPreviewLayer {
      layer.session = session
      layer.videoGravity = .resizeAspectFill
    }
    return view
  }

  func updateUIView(_ view: Layered, context: Context) {}
}
