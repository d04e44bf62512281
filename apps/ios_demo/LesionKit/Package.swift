// swift-tools-version:5.9
// The contract of dermedge's apps in Swift: Foundation alone, so that it is built and tested on Linux too.
import PackageDescription

let package = Package(
  name: "LesionKit",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "LesionKit", targets: ["LesionKit"])],
  targets: [
    .target(name: "LesionKit"),
    .testTarget(name: "LesionKitTests", dependencies: ["LesionKit"]),
  ]
)
