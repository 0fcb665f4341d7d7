//! Process data from Linux: the processor time of the threads, and the resident memory.

use std::fs;
use std::time::Duration;

use crate::error::Error;

/// The processor time of all threads of a process so far, in user and kernel mode. Threads that have ended are not included.
///
/// It comes from `schedstat`, which counts nanoseconds; `stat` counts only hundredths of a second.
pub(crate) fn cpu_time(id: u32) -> Result<Duration, Error> {
    let tasks = format!("/proc/{id}/task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
        // A thread may end while the folder is read.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().unwrap_or_default();
        nanoseconds += first.parse::<u64>().map_err(|_| "this kernel has no schedstat, so no processor time")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory in bytes (`VmRSS`).
pub(crate) fn resident_bytes(id: u32) -> Result<f64, Error> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024.0).ok_or_else(|| format!("{path} has no VmRSS").into())
}
