//! `proc-title-template`: what lists of processes show of the server.

/// The text of a template, its fields replaced by what `value` knows of them, without spaces at both ends.
/// `None` if it has a field that nobody knows, or a brace without its other half. `{{` stands for a brace.
pub fn expand_title(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(behind) = behind.strip_prefix('{') {
            text.push('{');
            rest = behind;
            continue;
        }
        let (field, behind) = behind.split_once('}')?;
        text.push_str(&value(field)?);
        rest = behind;
    }
    text.push_str(rest);
    Some(text.trim_matches(' ').to_owned())
}

/// Whether a template can be used: its fields are known, and something is left of it where a server has
/// neither title, nor mode, nor unix socket.
pub(super) fn check(template: &[u8]) -> Result<(), &'static str> {
    let of_nobody = |field: &str| match field {
        "title" | "server-mode" | "unixsocket" => Some(String::new()),
        "listen-addr" | "port" | "tls-port" | "config-file" => Some("-".to_owned()),
        _ => None,
    };
    std::str::from_utf8(template)
        .ok()
        .and_then(|template| expand_title(template, of_nobody))
        .filter(|text| !text.is_empty())
        .map(|_| ())
        .ok_or("template format is invalid or contains unknown variables")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_replaced_and_spaces_at_both_ends_are_dropped() {
        let known = |field: &str| (field == "port").then(|| "6379".to_owned());
        assert_eq!(expand_title(" a {port} {{x ", known).as_deref(), Some("a 6379 {x"));
        assert_eq!(expand_title("{host}", known), None);
        assert_eq!(expand_title("{port", known), None);
    }

    #[test]
    fn templates_are_checked() {
        for good in ["{title} {listen-addr} {server-mode}", "--my--title", "{config-file}", "{{"] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "  ", "{title}", "{nothing}", "a {title", "{"] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check(b"\xFF").is_err());
    }
}
