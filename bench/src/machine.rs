//! What of the machine decides the figures of one client.

use std::fs;

/// For how long a core of a virtual machine looks for work before it sleeps, in nanoseconds (Linux, `haltpoll`).
const POLL: &str = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";
/// Who decides how a core idles; the time above counts for this one alone.
const GOVERNOR: &str = "/sys/devices/system/cpu/cpuidle/current_governor";

/// Says how long the cores of this machine stay awake, where it can be seen.
pub(crate) fn describe() {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if read(GOVERNOR) != "haltpoll" {
        return;
    }
    match read(POLL).as_str() {
        "0" => eprintln!(
            "the cores of this machine sleep at once, and to wake one takes longer than what is measured with one client:\n\
             gateway and agent keep theirs awake while messages follow each other (`busy_poll`), the other ways do not.\n\
             With the kernel's own default all do: `echo 200000 > {POLL}`, as root"
        ),
        polls => eprintln!("the cores of this machine stay awake for up to {polls} ns"),
    }
}
