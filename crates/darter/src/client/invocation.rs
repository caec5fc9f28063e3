//! Which of its roles the binary is asked to play: by the name it is called by, and by its first
//! word.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Cli,
    Healthcheck,
    CheckRdb,
    CheckAof,
}

/// The role, and the words for it, the program's name first.
pub(crate) fn role_of(mut args: Vec<OsString>) -> (Role, Vec<OsString>) {
    let name = args.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    match name.as_bytes() {
        // Images are probed with these names.
        b"redis-cli" | b"valkey-cli" => return (Role::Cli, args),
        b"redis-server" | b"valkey-server" => return (Role::Server, args),
        b"redis-check-rdb" | b"valkey-check-rdb" => return (Role::CheckRdb, args),
        b"redis-check-aof" | b"valkey-check-aof" => return (Role::CheckAof, args),
        _ => {}
    }
    let role = match args.get(1).map(|word| word.as_bytes()) {
        Some(b"cli") => Role::Cli,
        Some(b"healthcheck") => Role::Healthcheck,
        Some(b"check-rdb") => Role::CheckRdb,
        Some(b"check-aof") => Role::CheckAof,
        _ => return (Role::Server, args),
    };
    args.remove(1);
    (role, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_comes_from_the_name_or_from_the_first_word() {
        let role = |line: &str| {
            let (role, words) = role_of(line.split(' ').map(OsString::from).collect());
            (role, words.len() - 1)
        };
        assert_eq!(role("/usr/bin/redis-cli ping"), (Role::Cli, 1));
        assert_eq!(role("valkey-cli -p 1 ping"), (Role::Cli, 3));
        assert_eq!(role("darter cli ping"), (Role::Cli, 1));
        assert_eq!(role("darter healthcheck --port 1"), (Role::Healthcheck, 2));
        assert_eq!(role("darter check-rdb dump.rdb"), (Role::CheckRdb, 1));
        assert_eq!(role("redis-check-rdb dump.rdb"), (Role::CheckRdb, 1));
        assert_eq!(role("darter check-aof --fix appendonly.aof.manifest"), (Role::CheckAof, 2));
        assert_eq!(role("valkey-check-aof appendonly.aof"), (Role::CheckAof, 1));
        assert_eq!(role("/bin/darter darter.conf"), (Role::Server, 1));
        assert_eq!(role("darter --port 7000"), (Role::Server, 2));
        // A file may be called like a subcommand; by these names there are none.
        assert_eq!(role("redis-server cli"), (Role::Server, 1));
    }
}
