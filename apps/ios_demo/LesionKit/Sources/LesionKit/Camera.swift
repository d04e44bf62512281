/// One plane of a frame: samples whose rows and pixels lie `rowStride` and `pixelStride` bytes apart.
public struct Plane {
  public let data: [UInt8]
  public let start: Int  // byte of the first sample
  public let rowStride: Int
  public let pixelStride: Int

  public init(data: [UInt8], start: Int = 0, rowStride: Int, pixelStride: Int = 1) {
    (self.data, self.start, self.rowStride, self.pixelStride) = (data, start, rowStride, pixelStride)
  }

  /// Throws `Refused` unless `columns` x `rows` samples of `sampleBytes` lie in the data with these strides.
  func check(_ columns: Int, _ rows: Int, sampleBytes: Int, name: String) throws {
    let most = 1 << 31  // bytes
    try whole(pixelStride, 1, most, "\(name): the pixel stride")
    try whole(rowStride, 1, most, "\(name): the row stride")
    try whole(start, 0, data.count, "\(name): the first byte")
    let row = (columns - 1) * pixelStride + sampleBytes
    guard rowStride >= row else {
      throw Refused("\(name): a row has \(row) bytes, the row stride is \(rowStride)")
    }
    let needed = (rows - 1) * rowStride + row
    guard data.count - start >= needed else {
      throw Refused("\(name) takes \(needed) bytes, got \(data.count - start)")
    }
  }
}

/// docs/preprocess.md, section 1: frames of a camera become upright RGB.
public enum Camera {
  public enum Matrix: String, Decodable {
    case bt601, bt709
  }

  public enum Layout: String, Decodable {
    case nv21, nv12, i420
  }

  /// 65536 times what luma adds, V adds to red, U and V to green, U to blue; then luma's offset.
  private static func constants(_ matrix: Matrix, fullRange: Bool) -> [Int] {
    switch (matrix, fullRange) {
    case (.bt601, false): return [76309, 104597, -25675, -53279, 132201, 16]
    case (.bt601, true): return [65536, 91881, -22553, -46802, 116130, 0]
    case (.bt709, false): return [76309, 117489, -13975, -34925, 138438, 16]
    case (.bt709, true): return [65536, 103206, -12276, -30679, 121609, 0]
    }
  }

  /// For each byte, what it adds in 64ths.
  private static func parts(_ constant: Int, offset: Int) -> [Int] {
    (0..<256).map { (constant * ($0 - offset) + 512) >> 10 }
  }

  /// A frame in YUV 4:2:0 as RGB. `planes`: Y, U and V. Matrix and range are stated by the frame; neither has a default.
  public static func rgb(
    width: Int, height: Int, planes: [Plane], matrix: Matrix, fullRange: Bool
  ) throws -> Picture {
    try Picture.checkSize(width, height)
    guard planes.count == 3 else { throw Refused("a frame has the three planes Y, U and V") }
    try planes[0].check(width, height, sampleBytes: 1, name: "plane Y")
    try planes[1].check((width + 1) / 2, (height + 1) / 2, sampleBytes: 1, name: "plane U")
    try planes[2].check((width + 1) / 2, (height + 1) / 2, sampleBytes: 1, name: "plane V")
    let numbers = constants(matrix, fullRange: fullRange)
    let light = parts(numbers[0], offset: numbers[5]).map { $0 + 32 }
    let chroma = (1...4).map { parts(numbers[$0], offset: 128) }
    let (vToRed, uToGreen, vToGreen, uToBlue) = (chroma[0], chroma[1], chroma[2], chroma[3])
    var data = [UInt8](repeating: 0, count: width * height * 3)
    let (Y, U, V) = (planes[0], planes[1], planes[2])
    Y.data.withUnsafeBufferPointer { ys in
      U.data.withUnsafeBufferPointer { us in
        V.data.withUnsafeBufferPointer { vs in
          var to = 0
          for y in 0..<height {
            for x in 0..<width {
              let l = light[Int(ys[Y.start + y * Y.rowStride + x * Y.pixelStride])]
              let u = Int(us[U.start + (y >> 1) * U.rowStride + (x >> 1) * U.pixelStride])
              let v = Int(vs[V.start + (y >> 1) * V.rowStride + (x >> 1) * V.pixelStride])
              data[to] = clamp((l + vToRed[v]) >> 6)
              data[to + 1] = clamp((l + uToGreen[u] + vToGreen[v]) >> 6)
              data[to + 2] = clamp((l + uToBlue[u]) >> 6)
              to += 3
            }
          }
        }
      }
    }
    return try Picture(width: width, height: height, data: data)
  }

  private static func clamp(_ value: Int) -> UInt8 {
    UInt8(max(0, min(255, value)))
  }

  /// Three planes in one buffer without gaps.
  public static func planes(_ layout: Layout, _ buffer: [UInt8], width: Int, height: Int) throws
    -> [Plane]
  {
    try Picture.checkSize(width, height)
    let columns = (width + 1) / 2
    let samples = columns * ((height + 1) / 2)
    let luma = width * height
    guard buffer.count >= luma + 2 * samples else {
      throw Refused("\(layout.rawValue) takes \(luma + 2 * samples) bytes, got \(buffer.count)")
    }
    let apart = { Plane(data: buffer, start: $0, rowStride: columns) }
    let mixed = { Plane(data: buffer, start: $0, rowStride: 2 * columns, pixelStride: 2) }
    let first = Plane(data: buffer, rowStride: width)
    switch layout {
    case .i420: return [first, apart(luma), apart(luma + samples)]
    case .nv12: return [first, mixed(luma), mixed(luma + 1)]
    case .nv21: return [first, mixed(luma + 1), mixed(luma)]
    }
  }

  /// A frame of blue, green, red, alpha as RGB; alpha is left out. `rowStride` in bytes.
  public static func rgb(width: Int, height: Int, bgra: [UInt8], rowStride: Int) throws -> Picture {
    try Picture.checkSize(width, height)
    let plane = Plane(data: bgra, rowStride: rowStride, pixelStride: 4)
    try plane.check(width, height, sampleBytes: 4, name: "BGRA")
    var data = [UInt8]()
    data.reserveCapacity(width * height * 3)
    for y in 0..<height {
      for x in 0..<width {
        let from = y * rowStride + 4 * x
        data.append(bgra[from + 2])
        data.append(bgra[from + 1])
        data.append(bgra[from])
      }
    }
    return try Picture(width: width, height: height, data: data)
  }

  /// The crop of an RGB frame, turned clockwise by `rotation` degrees, then with left and right exchanged if `mirrored`.
  /// `crop`: left, top, right, bottom in pixels of the frame as it is stored; right and bottom are outside.
  public static func upright(
    _ frame: Picture, crop: [Int]? = nil, rotation: Int = 0, mirrored: Bool = false
  ) throws -> Picture {
    guard [0, 90, 180, 270].contains(rotation) else {
      throw Refused("the rotation is 0, 90, 180 or 270, got \(rotation)")
    }
    guard frame.channels == 3 else { throw Refused("a frame has three bytes for each pixel") }
    let crop = crop ?? [0, 0, frame.width, frame.height]
    guard crop.count == 4 else { throw Refused("a crop is left, top, right and bottom") }
    let (left, top, right, bottom) = (crop[0], crop[1], crop[2], crop[3])
    guard left >= 0, top >= 0, right <= frame.width, bottom <= frame.height, left < right, top < bottom
    else {
      throw Refused("the crop \(crop) is empty or leaves the frame of \(frame.width) x \(frame.height)")
    }
    let (w, h) = (right - left, bottom - top)
    let (width, height) = rotation % 180 == 0 ? (w, h) : (h, w)
    let row = 3 * frame.width
    func corner(_ column: Int, _ line: Int) -> Int { (top + line) * row + 3 * (left + column) }
    // Where the upper left corner comes from, and the bytes from there to the next column and the next row.
    var (from, toColumn, toRow): (Int, Int, Int)
    switch rotation {
    case 90: (from, toColumn, toRow) = (corner(0, h - 1), -row, 3)
    case 180: (from, toColumn, toRow) = (corner(w - 1, h - 1), -3, -row)
    case 270: (from, toColumn, toRow) = (corner(w - 1, 0), row, -3)
    default: (from, toColumn, toRow) = (corner(0, 0), 3, row)
    }
    if mirrored { (from, toColumn) = (from + (width - 1) * toColumn, -toColumn) }
    var data = [UInt8]()
    data.reserveCapacity(width * height * 3)
    for _ in 0..<height {
      var at = from
      for _ in 0..<width {
        data.append(frame.data[at])
        data.append(frame.data[at + 1])
        data.append(frame.data[at + 2])
        at += toColumn
      }
      from += toRow
    }
    return try Picture(width: width, height: height, data: data)
  }
}
