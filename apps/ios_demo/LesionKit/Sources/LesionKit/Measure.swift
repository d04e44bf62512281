/// The nine whole numbers of a square, by name.
public typealias Measured = [String: Int]

/// docs/decision.md, *measure*.
public enum Measure {
  static let mostCells = 16

  /// The numbers of a model's input of side x side x 3 bytes. Throws `Refused` for what is no square.
  public static func square(_ square: [UInt8], side: Int) throws -> Measured {
    try whole(side, 5, Preprocess.maxSide, "the side of the square")
    guard square.count == side * side * 3 else {
      throw Refused("a square of \(side) pixels has \(side * side * 3) bytes")
    }
    let count = side * side
    var luma = [Int](repeating: 0, count: count)
    var histogram = [Int](repeating: 0, count: 256)
    var (warm, green) = (0, 0)
    for i in 0..<count {
      let (r, g, b) = (Int(square[3 * i]), Int(square[3 * i + 1]), Int(square[3 * i + 2]))
      luma[i] = (77 * r + 150 * g + 29 * b + 128) >> 8
      histogram[luma[i]] += 1
      if r > 0 && r >= g && r >= b && 16 * (r - min(g, b)) >= r { warm += 1 }
      if g > r + 8 && g > b + 8 { green += 1 }
    }
    func level(_ percent: Int) -> Int {
      var left = (count - 1) * percent / 100
      for (value, pixels) in histogram.enumerated() {
        left -= pixels
        if left < 0 { return value }
      }
      return 255
    }
    func share(_ pixels: Int) -> Int { 1000 * pixels / count }
    func differences(_ step: Int, columns: Bool) -> Int {
      let (right, down) = columns ? (step, 0) : (0, step)
      var sum = 0
      for r in 0..<(side - down) {
        for q in 0..<(side - right) {
          let difference = luma[(r + down) * side + q + right] - luma[r * side + q]
          sum += difference * difference
        }
      }
      return sum
    }
    func ratio(_ near: Int, _ far: Int) -> Int { min(9999, 1000 * near / max(far, 1)) }
    let across = [1, 2, 4].map { differences($0, columns: true) }
    let down = [1, 2, 4].map { differences($0, columns: false) }
    return [
      "light": level(90),
      "clipped": share(histogram[250...].reduce(0, +)),
      "contrast": level(95) - level(5),
      "fine": min(ratio(across[0], across[1]), ratio(down[0], down[1])),
      "coarse": min(ratio(across[0], across[2]), ratio(down[0], down[2])),
      "busy": ratio(across[0] + down[0], across[1] + down[1]),
      "warm": share(warm),
      "green": share(green),
      "spot": spot(luma, side),
    ]
  }

  /// How far the mean of a cell in the middle lies from what is usual along the border.
  private static func spot(_ luma: [Int], _ side: Int) -> Int {
    let cells = min(mostCells, side)
    func start(_ i: Int) -> Int { i * side / cells }
    var (border, middle) = ([Int](), [Int]())
    let quarter = cells / 4
    let inner = quarter..<(cells - quarter)
    for i in 0..<cells {
      for j in 0..<cells {
        var sum = 0
        for r in start(i)..<start(i + 1) {
          for q in start(j)..<start(j + 1) { sum += luma[r * side + q] }
        }
        let mean = sum / ((start(i + 1) - start(i)) * (start(j + 1) - start(j)))
        if i == 0 || j == 0 || i == cells - 1 || j == cells - 1 { border.append(mean) }
        if inner.contains(i) && inner.contains(j) { middle.append(mean) }
      }
    }
    border.sort()
    let usual = border[border.count / 2 - 1]
    return middle.map { abs($0 - usual) }.max() ?? 0
  }
}
