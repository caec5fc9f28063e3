//! `set-proc-title`: what lists of processes show of the server.
//!
//! Process 1, which is the server in a container, keeps its command line: `darter healthcheck` reads its options
//! there.

use darter_runtime::title::ProcessTitle;
use darter_server::config::{Settings, expand_title};

/// Shows the title.
pub(crate) struct TitleSetter {
    /// Nothing where a title cannot be shown, or is not wanted.
    place: Option<ProcessTitle>,
    /// The name the process was started by.
    name: String,
    config_file: String,
}

impl TitleSetter {
    /// To be made before any thread is started. `config_file` is empty without one.
    pub(crate) fn new(settings: &Settings, config_file: &str) -> Self {
        let name = std::env::args_os().next().unwrap_or_default();
        let is_wanted = settings.process.shows_title && std::process::id() != 1;
        Self {
            name: name.to_string_lossy().into_owned(),
            config_file: config_file.to_owned(),
            place: if is_wanted { ProcessTitle::claim() } else { None },
        }
    }

    /// Puts changed settings into force.
    pub(crate) fn apply(&self, settings: &Settings) {
        let Some(place) = &self.place else { return };
        let template = &settings.process.title_template;
        if let Some(title) = expand_title(template, |field| self.value(field, settings)) {
            place.set(&title);
        }
    }

    fn value(&self, field: &str, settings: &Settings) -> Option<String> {
        let socket =
            || settings.unix_socket.as_ref().map_or(String::new(), |it| it.display().to_string());
        Some(match field {
            "title" => self.name.clone(),
            "listen-addr" if settings.port == 0 => format!("unixsocket:{}", socket()),
            "listen-addr" => {
                let address = settings.bind.first().map_or("*", String::as_str);
                format!("{address}:{}", settings.port)
            }
            // Said of clusters and sentinels only.
            "server-mode" => String::new(),
            "config-file" if self.config_file.is_empty() => "-".to_owned(),
            "config-file" => self.config_file.clone(),
            "port" => settings.port.to_string(),
            "tls-port" => "0".to_owned(),
            "unixsocket" => socket(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_tells_where_the_server_listens() {
        let setter = TitleSetter { place: None, name: "darter".into(), config_file: String::new() };
        let template =
            "{title} {listen-addr} {server-mode} {port} {tls-port} {unixsocket} {config-file}";
        let title = |settings: &Settings| expand_title(template, |it| setter.value(it, settings));
        let bind = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
        let settings = Settings { port: 7000, bind, ..Settings::default() };
        assert_eq!(title(&settings).as_deref(), Some("darter 127.0.0.1:7000  7000 0  -"));
        let settings = Settings { unix_socket: Some("/run/a".into()), ..Settings::default() };
        assert_eq!(title(&settings).as_deref(), Some("darter unixsocket:/run/a  0 0 /run/a -"));
    }
}
