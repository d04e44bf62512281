import SwiftUI

@main
struct DemoApp: App {
  @StateObject private var lesion = Lesion()

  var body: some Scene {
    WindowGroup {
      MainView().environmentObject(lesion).task { await lesion.open(units: .cpu) }
    }
  }
}
