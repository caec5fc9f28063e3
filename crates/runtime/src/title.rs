//! The title of the process, as lists of processes show it.
//!
//! Linux has no call for it that everybody may use. It shows what lies where it put the arguments when the
//! process was started, and, when the last byte there is no zero, goes on into the environment behind them. So
//! the environment is moved elsewhere and both places are written over, as Redis and other servers do.
//!
//! ```text
//!   arguments            environment
//!   darter\0--port\0...  PATH=...\0HOME=...\0     as the kernel put them
//!   darter *:6379\0\0\0\0\0\0\0\0\0\0\0\0...     afterwards
//! ```
#![expect(
    unsafe_code,
    reason = "writes where the kernel put the arguments, and moves the environment"
)]

use std::ffi::CString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs};

/// Whether somebody has the place already.
static IS_CLAIMED: AtomicBool = AtomicBool::new(false);

/// The place of the title. Any thread may write it.
#[derive(Debug)]
pub struct ProcessTitle {
    /// Addresses of arguments and environment, or of the arguments alone. Nobody else reads or writes there.
    place: Range<usize>,
}

impl ProcessTitle {
    /// Takes the place; `None` where it is not known, or taken. To be called when nobody reads the arguments
    /// any more, and before any thread is started.
    pub fn claim() -> Option<Self> {
        let places = Places::of_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
        if IS_CLAIMED.swap(true, Ordering::Relaxed) {
            return None;
        }
        let place = if places.environment.start == places.arguments.end
            && move_environment(&places.environment)
        {
            places.arguments.start..places.environment.end
        } else {
            places.arguments
        };
        Some(Self { place })
    }

    /// Shows `title`, as much of it as there is room for.
    pub fn set(&self, title: &str) {
        let title = title.bytes().take(self.place.len() - 1).chain(std::iter::repeat(0));
        for (address, byte) in self.place.clone().zip(title) {
            let pointer = std::ptr::with_exposed_provenance_mut::<u8>(address);
            // SAFETY: the kernel mapped these bytes for the life of the process, to be read and written, and
            // said so in `/proc/self/stat`. There is no reference to them: `claim` was called when nobody
            // read the arguments any more, at most once, and has moved the environment away.
            unsafe { pointer.write_volatile(byte) };
        }
    }
}

/// Where the kernel put things.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    arguments: Range<usize>,
    environment: Range<usize>,
}

impl Places {
    /// From the text of `/proc/self/stat` (`proc_pid_stat(5)`): fields 48 to 51. The name of the process, the
    /// second one, is in parentheses and may contain anything.
    fn of_stat(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(45).map(str::parse::<usize>);
        let mut next = || fields.next()?.ok();
        let places = Self { arguments: next()?..next()?, environment: next()?..next()? };
        // Zeroes for who may not know.
        (!places.arguments.is_empty() && places.environment.start <= places.environment.end)
            .then_some(places)
    }
}

/// Moves the environment away from `place`, by setting each variable to what it is; whether nothing is left
/// there.
fn move_environment(place: &Range<usize>) -> bool {
    env::vars_os().all(|(name, value)| {
        let Ok(name_in_c) = CString::new(name.clone().into_vec()) else { return false };
        // Such a name cannot be set.
        if name.is_empty() || name_in_c.as_bytes().contains(&b'=') {
            return false;
        }
        // SAFETY: no other thread runs, which could read the environment (the duty of `claim`'s caller).
        unsafe { env::set_var(&name, &value) };
        // SAFETY: the name ends in a zero, and no other thread changes the environment.
        let found = unsafe { libc::getenv(name_in_c.as_ptr()) };
        !place.contains(&found.expose_provenance())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_behind_the_name_of_the_process() {
        let before: Vec<String> = (3..48).map(|field| field.to_string()).collect();
        let stat = |behind: &str| format!("1 (a) b) (c) {} {behind}\n", before.join(" "));
        let places = Places { arguments: 100..110, environment: 110..150 };
        assert_eq!(Places::of_stat(&stat("100 110 110 150 0")), Some(places));
        assert_eq!(Places::of_stat(&stat("0 0 0 0 0")), None);
        assert_eq!(Places::of_stat(&stat("100 110")), None);
        assert_eq!(Places::of_stat("1 (a"), None);
    }
}
