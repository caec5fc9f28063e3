//! Where to listen, as the settings say.

use darter_runtime::config::{BindAddress, BindError};
use darter_runtime::{ListenerConfig, StartError};
use darter_server::config::Settings;
use std::fs;
use std::os::unix::fs::chown;

/// Every listener the settings ask for.
pub(crate) fn of(settings: &Settings) -> Result<Vec<ListenerConfig>, BindError> {
    let mut listeners = Vec::new();
    if settings.port != 0 {
        for word in &settings.bind {
            listeners.push(ListenerConfig::tcp(word, settings.port, settings.tcp_backlog)?);
        }
    }
    if let Some(path) = &settings.unix_socket {
        let address = BindAddress::Unix { path: path.clone(), mode: settings.unix_socket_mode };
        let backlog = settings.tcp_backlog;
        listeners.push(ListenerConfig { address, backlog, optional: false });
    }
    Ok(listeners)
}

/// What to tell about a start that failed, in words that scripts look for.
pub(crate) fn describe(error: &StartError, settings: &Settings) -> String {
    match error {
        StartError::Bind { address, error }
            if settings
                .unix_socket
                .as_ref()
                .is_some_and(|path| path.to_string_lossy() == address.as_str()) =>
        {
            format!("Failed opening Unix socket: bind: {address}: {error}")
        }
        StartError::Bind { address, error } => {
            tracing::warn!(
                "Warning: Could not create server TCP listening socket {address}: bind: {error}"
            );
            format!("Failed listening on port {} (tcp), aborting.", settings.port)
        }
        other => other.to_string(),
    }
}

/// Gives the unix socket to the group the settings name.
pub(crate) fn give_to_group(settings: &Settings) {
    let (Some(path), false) = (&settings.unix_socket, settings.unix_socket_group.is_empty()) else {
        return;
    };
    let group = &settings.unix_socket_group;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let Some(id) = group_id(&groups, group) else {
        tracing::warn!("unixsocketgroup: there is no group {group}");
        return;
    };
    if let Err(error) = chown(path, None, Some(id)) {
        tracing::warn!("cannot give {} to the group {group}: {error}", path.display());
    }
}

/// The number of a group: `name:password:number:members`.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    let mut named = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next()? == name;
        is_it.then(|| fields.nth(1)?.parse().ok())?
    });
    named.next().or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_or_number() {
        let groups = "root:x:0:\nredis:x:115:a,b\n";
        assert_eq!(group_id(groups, "redis"), Some(115));
        assert_eq!(group_id(groups, "42"), Some(42));
        assert_eq!(group_id(groups, "nobody"), None);
    }
}
