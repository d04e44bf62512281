import Foundation

/// What the system says of this phone and of the app's memory.
enum Device {
  /// Such as iPhone15,4.
  static var model: String {
    var facts = utsname()
    uname(&facts)
    return withUnsafeBytes(of: &facts.machine) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// Bytes that count against the app's limit; nil where the system does not say.
  static var memory: Int? {
    var facts = task_vm_info_data_t()
    var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
    let result = withUnsafeMutablePointer(to: &facts) { pointer in
      pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
        task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
      }
    }
    return result == KERN_SUCCESS && facts.phys_footprint > 0 ? Int(facts.phys_footprint) : nil
  }
}
