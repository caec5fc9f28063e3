//! How much memory the process may use: that of the machine, or less where a control group says so.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// How much memory there is, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// Whether it is a limit of the control group, as containers have, rather than all there is.
    pub is_control_group: bool,
}

/// Reads it; `None` where the system does not tell.
pub fn read() -> Option<MemoryLimit> {
    let machine = machine_bytes(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = group_bytes(Path::new("/"), &read_or_empty("/proc/self/cgroup"));
    Some(match group {
        Some(bytes) if bytes < machine => MemoryLimit { bytes, is_control_group: true },
        _ => MemoryLimit { bytes: machine, is_control_group: false },
    })
}

/// What of a limit is not for keys, values and buffers: code, threads, what the allocator holds besides.
const RESERVE_BYTES: u64 = 16 << 20;

/// `maxmemory auto`: 0, which is no limit, on a machine of its own; in a control group what keeps the process
/// below the group's limit, where the kernel would end it. The same for as long as the process lives.
pub fn maxmemory() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| match read() {
        Some(limit) if limit.is_control_group => within(limit.bytes),
        _ => 0,
    })
}

/// Three quarters of a limit less the reserve, but at least a quarter.
const fn within(limit_bytes: u64) -> u64 {
    let quarter = limit_bytes / 4;
    let most = (quarter * 3).saturating_sub(RESERVE_BYTES);
    if most > quarter { most } else { quarter }
}

fn read_or_empty(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The smallest limit of the process's control group and those around it, of either version of the
/// kernel's interface. Inside a container the group is the root of what can be seen.
fn group_bytes(root: &Path, groups: &str) -> Option<u64> {
    let mut smallest: Option<u64> = None;
    for line in groups.lines() {
        // hierarchy:controllers:path
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mount = root.join(mount);
        for group in Path::new(path).ancestors() {
            let directory = mount.join(group.strip_prefix("/").unwrap_or(group));
            let limit = read_or_empty(directory.join(file)).trim().parse().ok();
            smallest = smallest.into_iter().chain(limit).min();
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_what_meminfo_says() {
        assert_eq!(machine_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16_384));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
        assert!(read().is_some_and(|limit| limit.bytes > 0));
    }

    #[test]
    fn a_limit_leaves_room_for_what_is_not_counted() {
        let megabytes = |limit: u64| within(limit << 20) >> 20;
        assert_eq!((megabytes(24), megabytes(32), megabytes(64)), (6, 8, 32));
        assert_eq!((megabytes(256), megabytes(1024)), (176, 752));
        assert_eq!(within(u64::MAX), u64::MAX / 4 * 3 - RESERVE_BYTES);
        assert_eq!(within(0), 0);
    }

    #[test]
    fn the_smallest_limit_of_all_groups_around_counts() {
        let root = std::env::temp_dir().join(format!("darter-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/fs/cgroup/a/memory.max", "1000\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        write("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "500\n");
        assert_eq!(group_bytes(&root, "0::/a/b\n"), Some(1000));
        assert_eq!(group_bytes(&root, "0::/\n"), None);
        assert_eq!(group_bytes(&root, "0::/a\n5:cpu,memory:/c\n4:pids:/c\n"), Some(500));
        // In a container the path may be that of the host: only the root is there.
        write("sys/fs/cgroup/memory.max", "2000\n");
        assert_eq!(group_bytes(&root, "0::/host/path\n"), Some(2000));
        fs::remove_dir_all(&root).unwrap();
    }
}
