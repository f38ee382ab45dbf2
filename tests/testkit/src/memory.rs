//! How much memory processes use.

/// Resident memory of a process, in bytes; 0 once it is gone.
pub fn resident(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes; 0 once it is gone.
pub fn peak(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

/// Begins the peak of a process anew: it is what is resident now.
pub fn forget_peak(pid: u32) {
    // A kernel that cannot leaves the older peak, which is no smaller.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kilobytes: u64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
    kilobytes * 1024
}
