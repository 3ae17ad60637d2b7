use std::fs;

/// What Linux tells of this process; what it does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Memory it holds, in bytes.
    pub resident_bytes: Option<u64>,
    /// Processor time it has used.
    pub cpu_seconds: Option<f64>,
    /// Files and sockets it has open.
    pub open_files: Option<u64>,
    /// How many it may have open.
    pub most_files: Option<u64>,
    /// Its threads.
    pub threads: Option<u64>,
}

/// Clock ticks of `/proc` in a second: what Linux shows to programs on every platform.
const TICKS: f64 = 100.0;

impl Process {
    /// Looks it up.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            cpu_seconds: cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            most_files: most_files(&fs::read_to_string("/proc/self/limits").unwrap_or_default()),
            threads: field(&status, "Threads:"),
        }
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The 14th and 15th field of `/proc/self/stat`; the second is a name in brackets that may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) as f64 / TICKS)
}

fn most_files(limits: &str) -> Option<u64> {
    field(limits, "Max open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 500 0 0 0 250 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(field("Name:\tx\nVmRSS:\t  1234 kB\nThreads:\t5\n", "VmRSS:"), Some(1_234));
        let limits = "Max open files            1024                 4096                 files";
        assert_eq!(most_files(limits), Some(1_024));
    }
}
