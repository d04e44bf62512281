import AVFoundation
import LesionKit

/// Frames of the camera as upright RGB, by the same code that the golden vectors test.
final class CameraFrames: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
  let session = AVCaptureSession()
  private let output = AVCaptureVideoDataOutput()
  private let queue = DispatchQueue(label: "camera")
  private var next = DispatchTime.now()  // when a frame is looked at again
  private static let pause = DispatchTimeInterval.milliseconds(300)
  private var onFrame: (Result<Picture, Error>) -> Void = { _ in }

  /// Asks for permission and starts. Throws `Refused` where there is no camera or it may not be used.
  func start(_ onFrame: @escaping (Result<Picture, Error>) -> Void) async throws {
    guard await AVCaptureDevice.requestAccess(for: .video) else { throw Refused(String(localized: "noPermission")) }
    guard let camera = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
      let input = try? AVCaptureDeviceInput(device: camera)
    else { throw Refused(String(localized: "noCamera")) }
    self.onFrame = onFrame
    session.beginConfiguration()
    session.sessionPreset = .hd1280x720
    if session.inputs.isEmpty, session.canAddInput(input) { session.addInput(input) }
    output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange]
    output.alwaysDiscardsLateVideoFrames = true
    output.setSampleBufferDelegate(self, queue: queue)
    if session.outputs.isEmpty, session.canAddOutput(output) { session.addOutput(output) }
    session.commitConfiguration()
    queue.async { self.session.startRunning() }
  }

  func stop() {
    queue.async { self.session.stopRunning() }
  }

  /// Whether the lamp is on; a phone without one stays dark.
  func light(_ on: Bool) {
    guard let camera = (session.inputs.first as? AVCaptureDeviceInput)?.device, camera.hasTorch,
      (try? camera.lockForConfiguration()) != nil
    else { return }
    camera.torchMode = on ? .on : .off
    camera.unlockForConfiguration()
  }

  func captureOutput(_ output: AVCaptureOutput, didOutput sample: CMSampleBuffer, from connection: AVCaptureConnection)
  {
    guard DispatchTime.now() >= next, let buffer = CMSampleBufferGetImageBuffer(sample) else { return }
    next = DispatchTime.now() + CameraFrames.pause
    let result = Result { () throws -> Picture in
      // The sensor lies on its side in a phone that is held upright; the delivered buffer is not turned.
      try Camera.upright(frame(buffer), rotation: 90, mirrored: connection.isVideoMirrored)
    }
    onFrame(result)
  }

  private func frame(_ buffer: CVPixelBuffer) throws -> Picture {
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
    let format = CVPixelBufferGetPixelFormatType(buffer)
    if format == kCVPixelFormatType_32BGRA {
      let bytes = plane(CVPixelBufferGetBaseAddress(buffer), CVPixelBufferGetDataSize(buffer))
      return try Camera.rgb(width: width, height: height, bgra: bytes, rowStride: CVPixelBufferGetBytesPerRow(buffer))
    }
    guard let matrix = matrix(of: buffer) else {
      // It says no matrix that the contract knows: ask the camera for RGB from the next frame on.
      output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
      throw Refused(String(localized: "otherFrames"))
    }
    let planes = (0..<2).map { index in
      plane(
        CVPixelBufferGetBaseAddressOfPlane(buffer, index),
        CVPixelBufferGetBytesPerRowOfPlane(buffer, index) * CVPixelBufferGetHeightOfPlane(buffer, index))
    }
    let strides = (0..<2).map { CVPixelBufferGetBytesPerRowOfPlane(buffer, $0) }
    return try Camera.rgb(
      width: width, height: height,
      planes: [
        Plane(data: planes[0], rowStride: strides[0]),
        Plane(data: planes[1], rowStride: strides[1], pixelStride: 2),
        Plane(data: planes[1], start: 1, rowStride: strides[1], pixelStride: 2),
      ], matrix: matrix, fullRange: format == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange)
  }

  private func plane(_ base: UnsafeMutableRawPointer?, _ count: Int) -> [UInt8] {
    guard let base else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: base, count: count))
  }

  private func matrix(of buffer: CVPixelBuffer) -> Camera.Matrix? {
    let stated = CVBufferCopyAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil) as? String
    if stated == kCVImageBufferYCbCrMatrix_ITU_R_601_4 as String { return .bt601 }
    if stated == kCVImageBufferYCbCrMatrix_ITU_R_709_2 as String { return .bt709 }
    return nil
  }
}
