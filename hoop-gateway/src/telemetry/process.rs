//! The process, under the names that Prometheus' client libraries give it. Read from `/proc` ([proc_pid_stat(5)]) when
//! somebody asks; where there is none, nothing is said.
//!
//! [proc_pid_stat(5)]: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html

use std::fmt::Write as _;
use std::fs;

/// The unit of times in `/proc`: 100 a second on every Linux, whatever its scheduler's.
const TICKS_PER_SECOND: f64 = 100.0;

/// In Prometheus' text format.
pub(super) fn render() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut text = String::with_capacity(1024);
    let mut add = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    add("process_cpu_seconds_total", "counter", "user and system time spent", cpu_seconds(&stat));
    add("process_start_time_seconds", "gauge", "when the process was started, in Unix time", started(&stat, &system));
    add("process_resident_memory_bytes", "gauge", "memory in use", kilobytes(&status, "VmRSS:"));
    add("process_resident_memory_max_bytes", "gauge", "most memory that was ever in use", kilobytes(&status, "VmHWM:"));
    add("process_open_fds", "gauge", "open file descriptors", open_files());
    add("process_max_fds", "gauge", "file descriptors at most", most_files(&limits));
    add("process_threads", "gauge", "threads", field(&stat, 20));
    text
}

/// A field of `/proc/self/stat`, counted from 1 as in its manual. The second one is the name, which may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

fn started(stat: &str, system: &str) -> Option<f64> {
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the list itself.
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(listed.saturating_sub(1)).ok().map(f64::from)
}

fn most_files(limits: &str) -> Option<f64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 9 0 12345 1000 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(field(stat, 20), Some(9.0));
        assert_eq!(started(stat, "cpu 1\nbtime 1000\n"), Some(1123.45));
        assert_eq!(field("", 14), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_says_everything() {
        let text = render();
        assert_eq!(text.matches("# TYPE").count(), 7, "{text}");
        assert!(kilobytes(&fs::read_to_string("/proc/self/status").expect("there"), "VmRSS:") > Some(1024.0));
    }
}
